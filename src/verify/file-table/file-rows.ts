import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import { checksumLength, type RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { type FileTableBuffers, tableAlgorithms } from './file-table-layout.js'

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
