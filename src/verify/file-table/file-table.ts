import { PbManifestError } from '../../errors.js'
import { decodePathname, encodePathname, isUtf8Pathname, type Pathname } from '../../files/pathname.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import type { ManifestFile } from '../../manifest/model.js'
import type { PlainEntry } from '../../manifest/server-layout.js'
import {
  allocateFileTable,
  FileRows,
  type FileTableBuffers,
  maxRowsOf,
  tableAlgorithms,
} from './file-rows.js'
import { PathnameIndex, type PathnameIndexBuffers } from './pathname-index.js'
import type { ArchiveContents } from '../../source/tar/archive.js'
import { parsePositiveUnsignedInt32 } from '../../postgres/unsigned-int.js'

/** Of a server's manifest with CRC-32C. */
const TYPICAL_ENTRY_BYTES = 140

/** No file system takes a longer pathname; a longer one is looked up in memory of its own. */
const SCRATCH_BYTES = 16 * 1024

/**
 * The files of a manifest in memory that threads share: about 70 bytes a file and its pathname, where objects would
 * take 300.
 */
export class FileTable extends FileRows {
  /** For other threads, which read it as {@link FileRows}. */
  readonly buffers: FileTableBuffers
  readonly #records: Buffer
  readonly #offsets: Float64Array
  readonly #sizes: Float64Array
  readonly #algorithms: Uint8Array
  readonly #maxRows: number
  readonly #index: PathnameIndex
  readonly #scratch = Buffer.alloc(SCRATCH_BYTES)
  /** A directory and the slash behind it, before the names that are looked up in it. */
  readonly #below = Buffer.alloc(SCRATCH_BYTES)
  #directory = ''
  #directoryEnd = 0
  #rows = 0
  /** The end of the last record. */
  #end = 0

  /** @param manifestBytes - the size of the manifest's file, which bounds the table's */
  constructor(manifestBytes: number) {
    const buffers = allocateFileTable(manifestBytes)
    super(buffers)
    this.buffers = buffers
    this.#records = Buffer.from(buffers.records)
    this.#offsets = new Float64Array(buffers.offsets)
    this.#sizes = new Float64Array(buffers.sizes)
    this.#algorithms = new Uint8Array(buffers.algorithms)
    this.#maxRows = maxRowsOf(manifestBytes)
    this.#index = PathnameIndex.allocate(
      {
        bytes: this.#records,
        start: (row) => this.pathnameStart(row),
        end: (row) => this.pathnameEnd(row),
      },
      this.#maxRows,
      Math.floor(manifestBytes / TYPICAL_ENTRY_BYTES),
    )
  }

  /**
   * A table for the files of a manifest.
   *
   * @throws {@link PbManifestError} `IO` when there is no memory for one of its size
   */
  static of({ path, size }: { readonly path: string; readonly size: number }): FileTable {
    try {
      return new FileTable(size)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      throw new PbManifestError(
        'IO',
        `could not read file "${path}": it has ${size} bytes, more than a manifest can have here`,
        { cause: error },
      )
    }
  }

  /** For other threads, when no row will be added any more. */
  get indexBuffers(): PathnameIndexBuffers {
    return this.#index.buffers
  }

  get rows(): number {
    return this.#rows
  }

  /**
   * Adds a row.
   *
   * @returns false when the pathname is there already
   */
  add(file: ManifestFile): boolean {
    const { pathname, checksum } = file
    this.#requireRoom(Buffer.byteLength(pathname) + (checksum === undefined ? 0 : checksum.hex.length / 2))
    let at = this.#end
    if (checksum !== undefined) at += writeHex(this.#records, at, checksum.hex)
    const start = at
    at += this.#writePathname(pathname, at)
    const row = this.#addRow(file.size, checksum?.algorithm, at)
    return this.#index.add(row, this.#records, start, at)
  }

  /**
   * The same for an entry that was read where it stands.
   *
   * @returns false when the pathname is there already
   */
  addPlain(entry: PlainEntry): boolean {
    const { bytes, pathnameStart, pathnameEnd, algorithm } = entry
    this.#requireRoom(pathnameEnd - pathnameStart + (entry.hexEnd - entry.hexStart) / 2)
    const records = this.#records
    let at = this.#end
    if (algorithm !== undefined) at = copyHex(records, at, bytes, entry.hexStart, entry.hexEnd)
    for (let from = pathnameStart; from < pathnameEnd; from++) records[at++] = bytes[from] as number
    const row = this.#addRow(entry.size, algorithm, at)
    return this.#index.add(row, bytes, pathnameStart, pathnameEnd)
  }

  /** The row of this pathname, or -1. */
  find(pathname: Pathname): number {
    if (isUtf8Pathname(pathname) && pathname.length < SCRATCH_BYTES / 4) {
      return this.#index.find(this.#scratch, 0, writeText(this.#scratch, 0, pathname))
    }
    return this.findBytes(encodePathname(pathname))
  }

  /** The row of the pathname that these bytes are, or -1. */
  findBytes(pathname: Buffer): number {
    return this.#index.find(pathname, 0, pathname.length)
  }

  /** The row of what has this name in a directory, or -1. For one name after the other in the same directory. */
  findBelow(directory: Pathname, name: Pathname): number {
    if (directory !== this.#directory) this.#enter(directory)
    const isShort = this.#directoryEnd !== -1 && name.length < SCRATCH_BYTES / 8
    if (!isShort || !isUtf8Pathname(name)) return this.find(directory === '' ? name : `${directory}/${name}`)
    const end = this.#directoryEnd + writeText(this.#below, this.#directoryEnd, name)
    return this.#index.find(this.#below, 0, end)
  }

  #enter(directory: Pathname): void {
    this.#directory = directory
    const isShort = isUtf8Pathname(directory) && directory.length < SCRATCH_BYTES / 8
    const beginning = directory === '' ? '' : `${directory}/`
    this.#directoryEnd = isShort ? writeText(this.#below, 0, beginning) : -1
  }

  pathname(row: number): Pathname {
    return decodePathname(this.pathnameBytes(row))
  }

  #requireRoom(bytes: number): void {
    if (this.#rows >= this.#maxRows || this.#end + bytes > this.#records.length) {
      throw new PbManifestError('IO', 'the manifest grew while it was read')
    }
  }

  #addRow(size: number, algorithm: RealChecksumAlgorithm | undefined, end: number): number {
    const row = this.#rows++
    this.#sizes[row] = size
    this.#algorithms[row] = algorithm === undefined ? 0 : tableAlgorithms.indexOf(algorithm)
    this.#offsets[row + 1] = end
    this.#end = end
    return row
  }

  #writePathname(pathname: Pathname, at: number): number {
    return isUtf8Pathname(pathname)
      ? writeText(this.#records, at, pathname)
      : encodePathname(pathname).copy(this.#records, at)
  }
}

/**
 * Writes text as UTF-8. For short ASCII, which nearly all names are, a loop is quicker than a call into native code.
 *
 * @param text - well-formed
 * @returns how many bytes were written
 */
function writeText(target: Buffer, at: number, text: string): number {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code >= 0x80) return target.write(text, at)
    target[at + index] = code
  }
  return text.length
}

/**
 * Writes the bytes that lower-case hexadecimal text spells.
 *
 * @returns how many bytes were written
 */
function writeHex(target: Buffer, at: number, hex: string): number {
  for (let index = 0; index < hex.length; index += 2) {
    target[at + (index >> 1)] = (digit(hex.charCodeAt(index)) << 4) | digit(hex.charCodeAt(index + 1))
  }
  return hex.length >> 1
}

/**
 * Writes the bytes that a piece of lower-case hexadecimal text spells.
 *
 * @returns the position behind what was written
 */
function copyHex(target: Uint8Array, at: number, source: Uint8Array, start: number, end: number): number {
  let to = at
  for (let from = start; from < end; from += 2) {
    target[to++] = (digit(source[from] as number) << 4) | digit(source[from + 1] as number)
  }
  return to
}

function digit(code: number): number {
  return code < 0x3a ? code - 0x30 : code - 0x57
}

/** The tablespaces in which a manifest has files, by their OIDs, ascending. */
export function tablespacesIn(table: FileTable): Exclude<ArchiveContents, string>[] {
  const beginning = [Buffer.from('pg_tblspc/')]
  const oids = new Set<number>()
  for (let row = 0; row < table.rows; row++) {
    if (!table.beginsWithOne(row, beginning)) continue
    const oid = parsePositiveUnsignedInt32(table.pathname(row).split('/')[1] ?? '')
    if (oid !== undefined) oids.add(oid)
  }
  return [...oids].toSorted((left, right) => left - right).map((tablespaceOid) => ({ tablespaceOid }))
}
