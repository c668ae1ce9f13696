import { PathnameHash } from '../../files/pathname-hash.js'
import { FileRows, type FileTableBuffers } from './file-rows.js'

const EMPTY = -1

/** Where the pathnames of the rows are. */
interface PathnameColumn {
  readonly bytes: Uint8Array
  readonly start: (row: number) => number
  readonly end: (row: number) => number
}

/** The memory of an index, which other threads may read when it does not change any more. */
export interface PathnameIndexBuffers {
  /** Int32: row numbers, by the hash of their pathnames. */
  readonly slots: SharedArrayBuffer
  /** Uint32: of each row, so that most comparisons and the growing need no look at the pathname. */
  readonly hashes: SharedArrayBuffer
  /** By which pathnames are hashed. */
  readonly hashKey: SharedArrayBuffer
}

/** Finds rows by the bytes of their pathnames: a hash table with open addressing, of row numbers only. */
export class PathnameIndex {
  readonly #column: PathnameColumn
  #buffers: PathnameIndexBuffers
  #slots: Int32Array
  readonly #hashes: Uint32Array
  readonly #hash: PathnameHash
  #rows = 0

  constructor(column: PathnameColumn, buffers: PathnameIndexBuffers) {
    this.#column = column
    this.#buffers = buffers
    this.#slots = new Int32Array(buffers.slots)
    this.#hashes = new Uint32Array(buffers.hashes)
    this.#hash = new PathnameHash(buffers.hashKey)
  }

  /**
   * An empty index.
   *
   * @param maxRows - how many rows there can be
   * @param expectedRows - how many there will probably be
   */
  static allocate(column: PathnameColumn, maxRows: number, expectedRows: number): PathnameIndex {
    return new PathnameIndex(column, {
      slots: allocateSlots(2 ** Math.ceil(Math.log2(2 * expectedRows + 16))),
      hashes: new SharedArrayBuffer(maxRows * Uint32Array.BYTES_PER_ELEMENT),
      hashKey: new PathnameHash().key,
    })
  }

  /** As long as no row is added. */
  get buffers(): PathnameIndexBuffers {
    return this.#buffers
  }

  /** The row whose pathname is `bytes[start..end)`, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    return this.#slots[this.#slotOf(this.#hash.hash32(bytes, start, end), bytes, start, end)] ?? EMPTY
  }

  /**
   * Adds a row under its pathname.
   *
   * @param bytes - has the pathname, as the column has it, from `start` to before `end`; best memory that is in the
   * processor's cache, and not shared with other threads
   * @returns false when there is one with this pathname already
   */
  add(row: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (2 * (this.#rows + 1) > this.#slots.length) this.#grow()
    const hash = this.#hash.hash32(bytes, start, end)
    const slot = this.#slotOf(hash, bytes, start, end)
    if (this.#slots[slot] !== EMPTY) return false
    this.#slots[slot] = row
    this.#hashes[row] = hash
    this.#rows++
    return true
  }

  /** The slot that holds the row with this pathname, or the empty one where it belongs. */
  #slotOf(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const slots = this.#slots
    const mask = slots.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const row = slots[slot] as number
      if (row === EMPTY) return slot
      if (this.#hashes[row] === hash && this.#isAt(row, bytes, start, end)) return slot
    }
  }

  #isAt(row: number, bytes: Uint8Array, start: number, end: number): boolean {
    const column = this.#column
    const columnStart = column.start(row)
    if (column.end(row) - columnStart !== end - start) return false
    for (let at = start; at < end; at++) {
      if (column.bytes[columnStart + at - start] !== bytes[at]) return false
    }
    return true
  }

  #grow(): void {
    const rows = this.#slots
    this.#buffers = { ...this.#buffers, slots: allocateSlots(4 * rows.length) }
    this.#slots = new Int32Array(this.#buffers.slots)
    const mask = this.#slots.length - 1
    for (const row of rows) {
      if (row === EMPTY) continue
      // All are different: the first empty slot is right.
      let slot = (this.#hashes[row] as number) & mask
      while (this.#slots[slot] !== EMPTY) slot = (slot + 1) & mask
      this.#slots[slot] = row
    }
  }
}

function allocateSlots(count: number): SharedArrayBuffer {
  const slots = new SharedArrayBuffer(count * Int32Array.BYTES_PER_ELEMENT)
  new Int32Array(slots).fill(EMPTY)
  return slots
}

/** Finds and reads the rows of a whole file table, in any thread. */
export class FileFinder extends FileRows {
  readonly #index: PathnameIndex

  constructor(table: FileTableBuffers, index: PathnameIndexBuffers) {
    super(table)
    this.#index = new PathnameIndex(
      {
        bytes: new Uint8Array(table.records),
        start: (row) => this.pathnameStart(row),
        end: (row) => this.pathnameEnd(row),
      },
      index,
    )
  }

  /** The row of this pathname, or -1. */
  find(pathname: Uint8Array): number {
    return this.#index.find(pathname, 0, pathname.length)
  }
}
