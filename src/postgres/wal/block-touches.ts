import type { WalFormat } from '../versions.js'
import { type BlockAddress, readRecordBody } from './record-body.js'
import { isChecksumSwitch, isDatabaseCopy, isTablespaceCreation } from './record-header.js'
import { lsnOf } from './wal-geometry.js'

/** Blocks to look for, {@link NUMBERS_PER_BLOCK} for each. Plain data: it crosses threads. */
export type WantedBlocks = Uint32Array

const NUMBERS_PER_BLOCK = 5

/** Of each wanted block, the first record that touches it. Plain data. */
export interface FirstTouches {
  /** Where the record begins; 0 when there is none. */
  readonly lsns: BigUint64Array
  /** 1 when its replay writes the block anew, from an image or from nothing, and does not read it. */
  readonly writesAnew: Uint8Array
  /** One number: 1 when a record switches data checksums, so that pages may be without, and nothing can be said of them. */
  readonly checksumSwitch: Uint8Array
  /** One number: 1 when a record makes a tablespace. */
  readonly tablespaceCreation: Uint8Array
}

export function packBlocks(blocks: readonly BlockAddress[]): WantedBlocks {
  return Uint32Array.from(
    blocks.flatMap(({ tablespaceOid, databaseOid, relationNumber, fork, block }) => [
      tablespaceOid,
      databaseOid,
      relationNumber,
      fork,
      block,
    ]),
  )
}

/** Nothing touched yet. */
export function noTouches(wanted: WantedBlocks): FirstTouches {
  const count = wanted.length / NUMBERS_PER_BLOCK
  return {
    lsns: new BigUint64Array(count),
    writesAnew: new Uint8Array(count),
    checksumSwitch: new Uint8Array(1),
    tablespaceCreation: new Uint8Array(1),
  }
}

/** Adds what another stretch of WAL has, in whatever order the stretches come. */
export function mergeTouches(into: FirstTouches, from: FirstTouches): void {
  for (const [index, lsn] of from.lsns.entries()) touch(into, index, lsn, from.writesAnew[index] ?? 0)
  if (from.checksumSwitch[0] === 1) into.checksumSwitch[0] = 1
  if (from.tablespaceCreation[0] === 1) into.tablespaceCreation[0] = 1
}

function touch({ lsns, writesAnew }: FirstTouches, index: number, lsn: bigint, anew: number): void {
  const before = lsns[index] ?? 0n
  if (lsn === 0n || (before !== 0n && before <= lsn)) return
  lsns[index] = lsn
  writesAnew[index] = anew
}

/**
 * Looks for wanted blocks in records, as they are read.
 *
 * Before recovery reads a block, it writes those anew of which the record has an image to be applied, or says that it
 * initializes them. When that is the first record that touches a block, it does not matter what the backup has there.
 *
 * @see src/backend/access/transam/xlogutils.c (`XLogReadBufferForRedoExtended`)
 */
export class BlockTouches {
  readonly first: FirstTouches
  readonly #wanted: WantedBlocks
  readonly #format: WalFormat
  /** The places of wanted blocks, by relation, by block and fork. Different databases have relations of one number. */
  readonly #byRelation = new Map<number, Map<number, number[]>>()

  constructor(wanted: WantedBlocks, format: WalFormat) {
    this.#wanted = wanted
    this.#format = format
    this.first = noTouches(wanted)
    for (let place = 0; place < this.first.lsns.length; place++) {
      const [, , relation = 0, fork = 0, block = 0] = this.#addressAt(place)
      const blocks = this.#byRelation.get(relation) ?? new Map<number, number[]>()
      this.#byRelation.set(relation, blocks)
      const key = keyOf(fork, block)
      blocks.set(key, [...(blocks.get(key) ?? []), place])
    }
  }

  /**
   * Looks at a record that is known to be good.
   *
   * @param known - bytes of the record that are in `view` from `at` on
   * @param high - the upper half of the record's LSN; `low` is the lower
   */
  add(view: DataView, at: number, known: number, high: number, low: number): void {
    const dataAt = readRecordBody(view, at, known, this.#format, (block) => {
      const places = this.#byRelation.get(block.relationNumber)?.get(keyOf(block.fork, block.block)) ?? []
      for (const place of places) {
        const [tablespace, database] = this.#addressAt(place)
        if (tablespace !== block.tablespaceOid || database !== block.databaseOid) continue
        touch(this.first, place, lsnOf(high, low), block.isWrittenAnew ? 1 : 0)
      }
    })
    if (isChecksumSwitch(view, at, this.#format)) this.first.checksumSwitch[0] = 1
    if (isTablespaceCreation(view, at)) this.first.tablespaceCreation[0] = 1
    if (dataAt !== undefined && isDatabaseCopy(view, at)) this.#addDatabase(view, dataAt, lsnOf(high, low))
  }

  /** All files of a database are removed, and copied again from another. @see src/backend/commands/dbcommands.c (`dbase_redo`) */
  #addDatabase(view: DataView, at: number, lsn: bigint): void {
    const databaseOid = view.getUint32(at, true)
    const tablespaceOid = view.getUint32(at + 4, true)
    for (let place = 0; place < this.first.lsns.length; place++) {
      const [tablespace, database] = this.#addressAt(place)
      if (tablespace === tablespaceOid && database === databaseOid) touch(this.first, place, lsn, 1)
    }
  }

  #addressAt(place: number): Uint32Array {
    return this.#wanted.subarray(place * NUMBERS_PER_BLOCK, (place + 1) * NUMBERS_PER_BLOCK)
  }
}

/** Below 2^34. */
function keyOf(fork: number, block: number): number {
  return block * 4 + fork
}
