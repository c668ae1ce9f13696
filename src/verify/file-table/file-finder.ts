import { FileRows } from './file-rows.js'
import type { FileTableBuffers } from './file-table-layout.js'
import { PathnameIndex, type PathnameIndexBuffers } from './pathname-index.js'

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
