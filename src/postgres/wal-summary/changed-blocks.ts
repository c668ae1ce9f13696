import { SharedRows } from './shared-rows.js'
import { BITMAP_BYTES, CHUNK_BLOCKS, type ForkAddress, type ForkChanges, NO_LIMIT } from './summary-file.js'

/** Chunk number to a bitmap of its blocks, as long as its last changed block needs. */
type Chunks = Map<number, Uint8Array>

interface MergedFork extends ForkAddress {
  limitBlock: number
  readonly chunks: Chunks
}

/**
 * Puts WAL summaries together, oldest first: which blocks of which forks were changed over all of them.
 *
 * A fork that was cut loses what was marked beyond its new end; what is changed there later is marked anew. Memory: a bit
 * for each block, of chunks of 512 MB in which anything changed.
 *
 * @see src/common/blkreftable.c (`BlockRefTableEntrySetLimitBlock`, `BlockRefTableEntryMarkBlockModified`)
 */
export class SummaryMerger {
  readonly #forks = new Map<string, MergedFork>()

  /** Adds what a summary says of one fork. */
  add(changes: ForkChanges): void {
    const fork = this.#forkOf(changes)
    cutFork(fork, changes.limitBlock)
    for (const [number, chunk] of changes.chunks.entries()) {
      if (chunk.length === BITMAP_BYTES) mergeBitmap(fork.chunks, number, chunk)
      else if (chunk.length > 0) mergeOffsets(fork.chunks, number, chunk)
    }
  }

  /** All that was added, in memory that threads share. */
  finish(): ChangedBlocks {
    const forks: number[][] = []
    const chunks: number[][] = []
    const bitmaps: Uint8Array[] = []
    let bytes = 0
    for (const [id, fork] of [...this.#forks.values()].entries()) {
      forks.push([...keyOf(fork), fork.limitBlock, id])
      for (const [number, bitmap] of fork.chunks) {
        chunks.push([id, number, Math.floor(bytes / WORD), bitmap.length])
        bitmaps.push(bitmap)
        // So that places are counted in words: in bytes they might need more than 32 bits.
        bytes += Math.ceil(bitmap.length / WORD) * WORD
      }
    }
    const memory = new SharedArrayBuffer(bytes)
    const target = new Uint8Array(memory)
    let at = 0
    for (const bitmap of bitmaps) {
      target.set(bitmap, at)
      at += Math.ceil(bitmap.length / WORD) * WORD
    }
    return new ChangedBlocks({
      forks: SharedRows.of(forks, FORK_WIDTH).memory,
      chunks: SharedRows.of(chunks, CHUNK_WIDTH).memory,
      bitmaps: memory,
    })
  }

  #forkOf({ tablespaceOid, databaseOid, relationNumber, fork }: ForkAddress): MergedFork {
    const key = `${tablespaceOid}/${databaseOid}/${relationNumber}/${fork}`
    const known = this.#forks.get(key)
    if (known !== undefined) return known
    const made: MergedFork = {
      tablespaceOid,
      databaseOid,
      relationNumber,
      fork,
      limitBlock: NO_LIMIT,
      chunks: new Map(),
    }
    this.#forks.set(key, made)
    return made
  }
}

/** Bitmaps begin at multiples of it. */
const WORD = 8

/** Of a fork: its address, limit block, and the number by which its chunks are found. */
const FORK_WIDTH = 6
const LIMIT = 4
const ID = 5

/** Of a chunk: its fork, its number, where its bitmap begins, in words, and how many bytes it has. */
const CHUNK_WIDTH = 4

function keyOf({ tablespaceOid, databaseOid, relationNumber, fork }: ForkAddress): number[] {
  return [tablespaceOid, databaseOid, relationNumber, fork]
}

function cutFork(fork: MergedFork, limitBlock: number): void {
  if (limitBlock >= fork.limitBlock) return
  fork.limitBlock = limitBlock
  const limitChunk = Math.floor(limitBlock / CHUNK_BLOCKS)
  for (const [number, bitmap] of fork.chunks) {
    if (number > limitChunk) fork.chunks.delete(number)
    if (number === limitChunk) clearFrom(bitmap, limitBlock % CHUNK_BLOCKS)
  }
}

function clearFrom(bitmap: Uint8Array, offset: number): void {
  const byte = offset >>> 3
  if (byte >= bitmap.length) return
  bitmap[byte] = (bitmap[byte] ?? 0) & ((1 << (offset & 7)) - 1)
  bitmap.fill(0, byte + 1)
}

function mergeBitmap(chunks: Chunks, number: number, source: Buffer): void {
  const target = bitmapFor(chunks, number, BITMAP_BYTES)
  for (const [index, byte] of source.entries()) target[index] = (target[index] ?? 0) | byte
}

function mergeOffsets(chunks: Chunks, number: number, source: Buffer): void {
  let last = 0
  for (let at = 0; at < source.length; at += 2) last = Math.max(last, source.readUInt16LE(at))
  const target = bitmapFor(chunks, number, (last >>> 3) + 1)
  for (let at = 0; at < source.length; at += 2) {
    const offset = source.readUInt16LE(at)
    target[offset >>> 3] = (target[offset >>> 3] ?? 0) | (1 << (offset & 7))
  }
}

/** The bitmap of a chunk, of at least so many bytes. */
function bitmapFor(chunks: Chunks, number: number, bytes: number): Uint8Array {
  const known = chunks.get(number)
  if (known !== undefined && known.length >= bytes) return known
  const made = new Uint8Array(Math.min(BITMAP_BYTES, Math.max(bytes, 2 * (known?.length ?? 0))))
  if (known !== undefined) made.set(known)
  chunks.set(number, made)
  return made
}

/** {@link ChangedBlocks} as plain data and shared memory, which a message between threads carries. */
export interface ChangedBlocksMemory {
  readonly forks: SharedArrayBuffer
  readonly chunks: SharedArrayBuffer
  readonly bitmaps: SharedArrayBuffer
}

/** Which blocks were changed in a stretch of WAL. */
export class ChangedBlocks {
  readonly memory: ChangedBlocksMemory
  readonly #forks: SharedRows
  readonly #chunks: SharedRows
  readonly #bitmaps: Uint8Array

  constructor(memory: ChangedBlocksMemory) {
    this.memory = memory
    this.#forks = new SharedRows(memory.forks, FORK_WIDTH)
    this.#chunks = new SharedRows(memory.chunks, CHUNK_WIDTH)
    this.#bitmaps = new Uint8Array(memory.bitmaps)
  }

  /**
   * To how many blocks a fork was cut at its smallest.
   *
   * @returns {@link NO_LIMIT} when it was not; `undefined` when nothing of it was changed at all
   */
  limitBlockOf(address: ForkAddress): number | undefined {
    const row = this.#forks.find(...keyOf(address))
    return row === undefined ? undefined : this.#forks.at(row, LIMIT)
  }

  /** The changed blocks from `start` to `stop` (exclusive), ascending. */
  blocksOf(address: ForkAddress, start: number, stop: number): Uint32Array {
    const row = this.#forks.find(...keyOf(address))
    if (row === undefined) return new Uint32Array()
    const id = this.#forks.at(row, ID)
    const blocks: number[] = []
    for (let number = Math.floor(start / CHUNK_BLOCKS); number * CHUNK_BLOCKS < stop; number++) {
      const chunk = this.#chunks.find(id, number)
      if (chunk === undefined) continue
      const at = this.#chunks.at(chunk, 2) * WORD
      const bitmap = this.#bitmaps.subarray(at, at + this.#chunks.at(chunk, 3))
      const first = number * CHUNK_BLOCKS
      for (const [index, byte] of bitmap.entries()) {
        for (let bit = 0; byte >>> bit > 0; bit++) {
          const block = first + index * 8 + bit
          if ((byte >>> bit) & 1 && block >= start && block < stop) blocks.push(block)
        }
      }
    }
    return Uint32Array.from(blocks)
  }
}
