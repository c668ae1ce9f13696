import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import { checksumLength, type RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'

/**
 * The memory of a file table, shared by all threads. A column a buffer, a row an entry of the manifest.
 *
 * A buffer is as large as the largest manifest of its size could need; the system gives memory only to the pages that
 * are written.
 */
export interface FileTableBuffers {
  /** Of each row, one after the other, the bytes of its checksum and those of its pathname. */
  readonly records: SharedArrayBuffer
  /** Float64: where each row's record begins; one more for the end of the last. */
  readonly offsets: SharedArrayBuffer
  /** Float64: bytes of each file. */
  readonly sizes: SharedArrayBuffer
  /** Uint8: each row's algorithm, as an index of {@link tableAlgorithms}. */
  readonly algorithms: SharedArrayBuffer
}

/** The algorithms by their number in the table; 0 is none. */
export const tableAlgorithms: readonly (RealChecksumAlgorithm | undefined)[] = [
  undefined,
  'CRC32C',
  'SHA224',
  'SHA256',
  'SHA384',
  'SHA512',
]

/** No entry is shorter than `{"Path":5,"Size":0}`. */
const SHORTEST_ENTRY_BYTES = 16

/** How many rows a manifest of so many bytes can have at most. */
export function maxRowsOf(manifestBytes: number): number {
  return Math.floor(manifestBytes / SHORTEST_ENTRY_BYTES) + 1
}

/** Memory for the table of a manifest of so many bytes. Pathnames and checksums are never longer than their text. */
export function allocateFileTable(manifestBytes: number): FileTableBuffers {
  const rows = maxRowsOf(manifestBytes)
  return {
    records: new SharedArrayBuffer(manifestBytes + 1),
    offsets: new SharedArrayBuffer((rows + 1) * Float64Array.BYTES_PER_ELEMENT),
    sizes: new SharedArrayBuffer(rows * Float64Array.BYTES_PER_ELEMENT),
    algorithms: new SharedArrayBuffer(rows),
  }
}

const checksumLengths = tableAlgorithms.map((algorithm) => checksumLength(algorithm ?? 'NONE'))

/** Reads the rows of a file table, in any thread. */
export class FileRows {
  readonly #records: Buffer
  readonly #offsets: Float64Array
  readonly #sizes: Float64Array
  readonly #algorithms: Uint8Array

  constructor(buffers: FileTableBuffers) {
    this.#records = Buffer.from(buffers.records)
    this.#offsets = new Float64Array(buffers.offsets)
    this.#sizes = new Float64Array(buffers.sizes)
    this.#algorithms = new Uint8Array(buffers.algorithms)
  }

  size(row: number): number {
    return this.#sizes[row] ?? 0
  }

  /** `undefined` when the manifest has no checksum for the file. */
  algorithm(row: number): RealChecksumAlgorithm | undefined {
    return tableAlgorithms[this.#algorithms[row] ?? 0]
  }

  /** Lower-case hexadecimal. */
  checksum(row: number): string {
    const start = this.#offsets[row] ?? 0
    return this.#records.toString('hex', start, start + this.#checksumLength(row))
  }

  /** The checksum that a hasher has come to, when it is another than that of this row. */
  findOtherChecksum(row: number, hasher: FileHasher): string | undefined {
    return hasher.findOther(this.#records, this.#offsets[row] ?? 0)
  }

  /** The bytes of the pathname, in the table's own memory. */
  pathnameBytes(row: number): Buffer {
    return this.#records.subarray(this.pathnameStart(row), this.#offsets[row + 1])
  }

  /** How many bytes the pathname has. */
  pathnameLength(row: number): number {
    return this.pathnameEnd(row) - this.pathnameStart(row)
  }

  /** The pathname, of which every character is one of Latin-1. */
  latin1Pathname(row: number): string {
    return this.#records.toString('latin1', this.pathnameStart(row), this.pathnameEnd(row))
  }

  /** Copies the bytes of the pathname; returns the position behind them. */
  copyPathname(row: number, target: Buffer, at: number): number {
    return at + this.#records.copy(target, at, this.pathnameStart(row), this.#offsets[row + 1])
  }

  /** Whether the pathname begins with one of these. */
  beginsWithOne(row: number, beginnings: readonly Buffer[]): boolean {
    const start = this.pathnameStart(row)
    for (const beginning of beginnings) if (this.#hasAt(start, beginning)) return true
    return false
  }

  #hasAt(start: number, bytes: Buffer): boolean {
    for (let at = 0; at < bytes.length; at++) if (this.#records[start + at] !== bytes[at]) return false
    return true
  }

  /** Where in the records the pathname begins. */
  protected pathnameStart(row: number): number {
    return (this.#offsets[row] ?? 0) + this.#checksumLength(row)
  }

  /** Where it ends. */
  protected pathnameEnd(row: number): number {
    return this.#offsets[row + 1] ?? 0
  }

  #checksumLength(row: number): number {
    return checksumLengths[this.#algorithms[row] ?? 0] ?? 0
  }
}
