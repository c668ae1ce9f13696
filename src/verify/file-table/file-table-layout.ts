import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'

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
