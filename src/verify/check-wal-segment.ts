import { readChunks } from '../files/read-chunks.js'
import type { WayGiver } from '../files/give-way.js'
import { formatLsn } from '../postgres/lsn.js'
import { postgresMajorOfWalPageMagic } from '../postgres/wal-page-magics.js'
import { parseWalPageHeader, WAL_BLOCK_SIZE, type WalPageHeader } from '../postgres/wal-page-header.js'

const BUFFER_BYTES = 32 * WAL_BLOCK_SIZE

/** What a WAL segment should be. */
export interface ExpectedSegment {
  readonly path: string
  /** LSN of its first byte. */
  readonly startLsn: bigint
  /** What lies at or behind this LSN may be anything: the file may hold what it held in an earlier life. */
  readonly endLsn: bigint
  readonly size: number
  readonly timeline: number
  /** `undefined` when neither the manifest nor pg_control says. */
  readonly systemIdentifier: bigint | undefined
  /** The page magic of the cluster's version; `undefined` when that is not known. */
  readonly magic: number | undefined
}

/**
 * Checks that every page that is needed of a segment is that page of that cluster.
 *
 * @returns the first thing that is wrong
 * @throws the error of the system when it cannot be read, or `ABORTED`
 */
export async function checkWalSegment(segment: ExpectedSegment, way: WayGiver): Promise<string | undefined> {
  const pages = new PageSequence(segment)
  let length = 0
  for (const chunk of readChunks(segment.path, Buffer.allocUnsafe(BUFFER_BYTES))) {
    for (let at = 0; at + WAL_BLOCK_SIZE <= chunk.length; at += WAL_BLOCK_SIZE) {
      const fault = pages.check(chunk, at)
      if (fault !== undefined) return fault
    }
    length += chunk.length
    if (way.isDue) await way.giveWay()
  }
  return length === segment.size ? undefined : `it has ${length} bytes, but should have ${segment.size}`
}

/** @see src/backend/access/transam/xlogreader.c, XLogReaderValidatePageHeader */
class PageSequence {
  readonly #segment: ExpectedSegment
  #address: bigint
  #timeline = 0
  #isBehindEnd = false
  /** The WAL that is needed ends in the middle of this segment, so there was no switch before. */
  readonly #endsWithin: boolean

  constructor(segment: ExpectedSegment) {
    this.#segment = segment
    this.#address = segment.startLsn
    this.#endsWithin = segment.endLsn < segment.startLsn + BigInt(segment.size)
  }

  check(bytes: Buffer, at: number): string | undefined {
    const address = this.#address
    this.#address += BigInt(WAL_BLOCK_SIZE)
    if (address >= this.#segment.endLsn) return undefined
    const header = parseWalPageHeader(bytes, at)
    const isFirst = address === this.#segment.startLsn
    // After a switch of segments, the pages that are left are zero, headers and all.
    if (!isFirst && !this.#endsWithin && header.magic === 0 && header.pageAddress === 0n) {
      this.#isBehindEnd = true
      return undefined
    }
    const fault = this.#isBehindEnd ? 'it follows an empty page' : this.#findFault(header, address, isFirst)
    this.#timeline = header.timeline
    return fault && `page at ${formatLsn(address)}: ${fault}`
  }

  #findFault(header: WalPageHeader, address: bigint, isFirst: boolean): string | undefined {
    const { magic, timeline } = this.#segment
    if (
      magic === undefined ? postgresMajorOfWalPageMagic(header.magic) === undefined : header.magic !== magic
    ) {
      return `invalid magic number ${hex4(header.magic)}`
    }
    if (header.invalidInfoBits !== 0) return `invalid info bits ${hex4(header.invalidInfoBits)}`
    if (header.pageAddress !== address) return `unexpected page address ${formatLsn(header.pageAddress)}`
    if (header.timeline > timeline || header.timeline === 0) {
      return `timeline ${header.timeline}, but the segment is of timeline ${timeline}`
    }
    if (header.timeline < this.#timeline)
      return `timeline ${header.timeline} after timeline ${this.#timeline}`
    return isFirst ? this.#findLongHeaderFault(header) : undefined
  }

  #findLongHeaderFault({ long }: WalPageHeader): string | undefined {
    const { size, systemIdentifier } = this.#segment
    if (long === undefined) return 'the first page of a segment must have a long header'
    if (long.segmentSize !== size) return `segment size ${long.segmentSize}, but the cluster's is ${size}`
    if (long.blockSize !== WAL_BLOCK_SIZE)
      return `page size ${long.blockSize}, but should be ${WAL_BLOCK_SIZE}`
    if (systemIdentifier !== undefined && long.systemIdentifier !== systemIdentifier) {
      return `WAL file is from different database system: its system identifier is ${long.systemIdentifier}, not ${systemIdentifier}`
    }
    return undefined
  }
}

function hex4(value: number): string {
  return value.toString(16).toUpperCase().padStart(4, '0')
}
