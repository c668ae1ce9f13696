import { DamagedArchiveError } from '../damaged-archive-error.js'
import { parseDecimal } from './pax-records.js'
import { readNumber, TAR_BLOCK_BYTES } from './tar-header.js'

/** Bytes of a sparse file that its archive stores. Between these are holes, which read as zeros. */
export interface StoredStretch {
  /** In the file. */
  readonly position: number
  readonly length: number
}

/** What is stored of a sparse file, and how large that is. */
export interface SparseMap {
  readonly size: number
  /** In the order of the file, without gaps in the archive. */
  readonly stretches: readonly StoredStretch[]
}

/** A map that is read from blocks of the archive. */
export interface SparseMapBlocks {
  /** The map, when no block is needed. */
  readonly whole: SparseMap | undefined
  /** Whether the blocks count as bytes of the member. */
  readonly isInBytes: boolean
  /** Takes the next block; returns the map when that was the last. */
  addBlock(block: Buffer): SparseMap | undefined
}

/** A relation's file of 1 GiB can have 131,072 holes of a page. */
const MAX_STRETCHES = 1024 * 1024

const FIELD_BYTES = 12
/** In a header of type S: stretches, whether a block with more follows, and the size. */
const IN_HEADER = { start: 386, count: 4, isExtended: 482, size: 483 } as const
const IN_EXTENSION = { start: 0, count: 21, isExtended: 504 } as const

const HOLE = Buffer.alloc(64 * 1024)
const LF = 0x0a

/**
 * The map of a member of GNU's type S: in the header, and in blocks behind it as long as there are more stretches.
 *
 * @see https://www.gnu.org/software/tar/manual/html_node/Old-GNU-Format.html
 */
export class GnuSparseMap implements SparseMapBlocks {
  readonly isInBytes = false
  readonly #size: number
  readonly #stretches: StoredStretch[] = []
  #isWhole: boolean

  constructor(header: Buffer) {
    const size = readNumber(header, IN_HEADER.size, IN_HEADER.size + FIELD_BYTES)
    if (size === undefined) throw badMap()
    this.#size = size
    this.#isWhole = this.#read(header, IN_HEADER)
  }

  get whole(): SparseMap | undefined {
    return this.#isWhole ? { size: this.#size, stretches: this.#stretches } : undefined
  }

  addBlock(block: Buffer): SparseMap | undefined {
    this.#isWhole = this.#read(block, IN_EXTENSION)
    return this.whole
  }

  #read(block: Buffer, place: typeof IN_HEADER | typeof IN_EXTENSION): boolean {
    for (let index = 0; index < place.count; index++) {
      const start = place.start + 2 * FIELD_BYTES * index
      if (block[start] === 0) break
      const position = readNumber(block, start, start + FIELD_BYTES)
      const length = readNumber(block, start + FIELD_BYTES, start + 2 * FIELD_BYTES)
      addStretch(this.#stretches, position, length)
    }
    return block[place.isExtended] === 0
  }
}

/**
 * The map of pax formats 0.0 and 0.1: numbers with commas between, in a record.
 *
 * @see https://www.gnu.org/software/tar/manual/html_node/PAX-0.html
 */
export function parseSparseRecord(text: Buffer, size: number): SparseMap {
  const numbers = text.length === 0 ? [] : text.toString('latin1').split(',')
  const stretches: StoredStretch[] = []
  for (let index = 0; index < numbers.length; index += 2) {
    addStretch(stretches, toNumber(numbers[index]), toNumber(numbers[index + 1]))
  }
  return { size, stretches }
}

/**
 * The map of pax format 1.0: decimal lines at the beginning of the member's own bytes, how many stretches first, filled
 * up to whole blocks.
 *
 * @see https://www.gnu.org/software/tar/manual/html_node/PAX-1.html
 */
export class PaxSparseMap implements SparseMapBlocks {
  readonly isInBytes = true
  readonly whole = undefined
  readonly #size: number
  readonly #stretches: StoredStretch[] = []
  #count: number | undefined
  #position: number | undefined
  /** The beginning of a line that goes on in the next block. */
  #line = ''

  constructor(size: number) {
    this.#size = size
  }

  addBlock(block: Buffer): SparseMap | undefined {
    for (let at = 0; at < block.length && !this.#isWhole;) {
      const end = block.indexOf(LF, at)
      this.#line += block.toString('latin1', at, end === -1 ? block.length : end)
      if (this.#line.length > TAR_BLOCK_BYTES) throw badMap()
      if (end === -1) return undefined
      this.#takeNumber(toNumber(this.#line))
      this.#line = ''
      at = end + 1
    }
    return this.#isWhole ? { size: this.#size, stretches: this.#stretches } : undefined
  }

  get #isWhole(): boolean {
    return this.#stretches.length === this.#count
  }

  #takeNumber(value: number | undefined): void {
    if (value === undefined || value > Number.MAX_SAFE_INTEGER) throw badMap()
    if (this.#count === undefined) {
      this.#count = value
    } else if (this.#position === undefined) {
      this.#position = value
    } else {
      addStretch(this.#stretches, this.#position, value)
      this.#position = undefined
    }
  }
}

/**
 * The map without its empty stretches, with which GNU tar says where a hole at the end of the file ends.
 *
 * @param storedBytes - how many bytes the archive has of the member
 * @throws {@link DamagedArchiveError} when it cannot be the map of that
 */
export function soundSparseMap({ size, stretches }: SparseMap, storedBytes: number): SparseMap {
  const filled = stretches.filter(({ length }) => length > 0)
  let end = 0
  let stored = 0
  for (const { position, length } of filled) {
    // GNU tar begins each in a new block, others do not; where that is the same, there is no doubt.
    if (position < end || stored % TAR_BLOCK_BYTES !== 0) throw badMap()
    end = position + length
    stored += length
  }
  if (end > size || stored !== storedBytes) throw badMap()
  return { size, stretches: filled }
}

/** Makes the bytes of a sparse file of those that are stored. */
export class SparseFile {
  readonly #map: SparseMap
  readonly #onBytes: (bytes: Buffer) => void
  #index = 0
  #position = 0

  /** @param onBytes - is told of all bytes of the file, in their order */
  constructor(map: SparseMap, onBytes: (bytes: Buffer) => void) {
    this.#map = map
    this.#onBytes = onBytes
  }

  write(stored: Buffer): void {
    for (let at = 0; at < stored.length;) {
      const stretch = this.#map.stretches[this.#index]
      if (stretch === undefined) throw badMap()
      this.#fillTo(stretch.position)
      const left = stretch.position + stretch.length - this.#position
      const bytes = stored.subarray(at, at + left)
      if (bytes.length > 0) this.#onBytes(bytes)
      this.#position += bytes.length
      at += bytes.length
      if (bytes.length === left) this.#index++
    }
  }

  /** All that is stored has come. */
  end(): void {
    this.#fillTo(this.#map.size)
  }

  #fillTo(position: number): void {
    while (this.#position < position) {
      const length = Math.min(HOLE.length, position - this.#position)
      this.#onBytes(HOLE.subarray(0, length))
      this.#position += length
    }
  }
}

function addStretch(
  stretches: StoredStretch[],
  position: number | undefined,
  length: number | undefined,
): void {
  if (position === undefined || length === undefined || stretches.length >= MAX_STRETCHES) throw badMap()
  stretches.push({ position, length })
}

function toNumber(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDecimal(Buffer.from(text, 'latin1'))
}

function badMap(): DamagedArchiveError {
  return new DamagedArchiveError('it has a sparse member whose map cannot be read')
}
