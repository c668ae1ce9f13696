import type { FileRows } from '../file-table/file-rows.js'

/** Puts the directory before a pathname, in memory that is used again. */
export class PathBuffer {
  readonly #prefixLength: number
  #buffer: Buffer

  constructor(directory: string) {
    const prefix = Buffer.from(`${directory}/`)
    this.#prefixLength = prefix.length
    this.#buffer = Buffer.concat([prefix, Buffer.alloc(4096)])
  }

  of(rows: FileRows, row: number): Buffer {
    const needed = this.#prefixLength + rows.pathnameBytes(row).length
    if (needed > this.#buffer.length) this.#buffer = Buffer.concat([this.#buffer, Buffer.alloc(needed)])
    return this.#buffer.subarray(0, rows.copyPathname(row, this.#buffer, this.#prefixLength))
  }
}
