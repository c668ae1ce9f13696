import { DamagedArchiveError } from '../damaged-archive-error.js'
import { parseDecimal, parsePaxRecords, type PaxRecords } from './pax-records.js'
import { parseSparseRecord, PaxSparseMap, type SparseMap, type SparseMapBlocks } from './sparse-member.js'
import type { TarHeader } from './tar-header.js'

/** A name and a few times and attributes have far less; the map of a sparse file of many holes has this. */
const MAX_BYTES = 16 * 1024 * 1024

const NO_RECORDS: PaxRecords = new Map()

/** What a member really is, by all its headers. */
export interface MemberAttributesResult {
  readonly name: Buffer
  /** Of a link. */
  readonly target: Buffer
  /** Of the bytes that the archive has of it. */
  readonly size: number
  /** Of a sparse file by pax: its map, or what reads that from its bytes. */
  readonly sparse: SparseMap | SparseMapBlocks | undefined
}

/** What stands in headers of their own before a member, because the member's header has no room for it. */
export class MemberAttributes {
  #typeflag = ''
  #parts: Buffer[] = []
  #bytes = 0
  #longName: Buffer | undefined
  #longTarget: Buffer | undefined
  #records = NO_RECORDS
  #globalRecords = NO_RECORDS

  /** Whether a header of this type belongs to the member that follows. If so, its bytes are to be added next. */
  takes(typeflag: string): boolean {
    this.#typeflag = typeflag
    this.#parts = []
    this.#bytes = 0
    return HEADER_TYPES.has(typeflag)
  }

  /** @throws {@link DamagedArchiveError} */
  add(bytes: Buffer): void {
    this.#bytes += bytes.length
    if (this.#bytes > MAX_BYTES) throw new DamagedArchiveError('it has an extended header without end')
    this.#parts.push(Buffer.from(bytes))
  }

  /**
   * The bytes are whole.
   *
   * @throws {@link DamagedArchiveError}
   */
  end(): void {
    const bytes = Buffer.concat(this.#parts)
    this.#parts = []
    switch (this.#typeflag) {
      case 'L':
        this.#longName = upToNul(bytes)
        break
      case 'K':
        this.#longTarget = upToNul(bytes)
        break
      case 'g':
        this.#globalRecords = new Map([...this.#globalRecords, ...parseRecords(bytes)])
        break
      default:
        this.#records = parseRecords(bytes)
    }
  }

  /**
   * What the member really is.
   *
   * @throws {@link DamagedArchiveError}
   */
  applyTo(header: TarHeader): MemberAttributesResult {
    const records = this.#allRecords()
    const name = records.get('path') ?? this.#longName ?? header.name
    const result = {
      // GNU tar puts another name where those look who do not know sparse members.
      name: records.get('GNU.sparse.name') ?? name,
      target: records.get('linkpath') ?? this.#longTarget ?? header.target,
      size: numberIn(records, 'size') ?? header.size,
      sparse: sparseOf(this.#records),
    }
    this.#longName = undefined
    this.#longTarget = undefined
    this.#records = NO_RECORDS
    return result
  }

  #allRecords(): PaxRecords {
    if (this.#globalRecords.size === 0) return this.#records
    return new Map([...this.#globalRecords, ...this.#records])
  }
}

/** Long names of GNU, and extended headers of pax: of one member (those of Solaris too), or of all that follow. */
const HEADER_TYPES: ReadonlySet<string> = new Set(['L', 'K', 'x', 'X', 'g'])

function sparseOf(records: PaxRecords): MemberAttributesResult['sparse'] {
  const map = records.get('GNU.sparse.map')
  const size = numberIn(records, map === undefined ? 'GNU.sparse.realsize' : 'GNU.sparse.size')
  if (map !== undefined) {
    if (size === undefined) throw badHeader()
    return parseSparseRecord(map, size)
  }
  const major = records.get('GNU.sparse.major')?.toString('latin1')
  if (major === undefined) {
    // A file that is one hole has no stretches, and so, in format 0.0, no map.
    const emptySize = numberIn(records, 'GNU.sparse.size')
    return emptySize === undefined ? undefined : { size: emptySize, stretches: [] }
  }
  const minor = records.get('GNU.sparse.minor')?.toString('latin1')
  if (major !== '1' || minor !== '0' || size === undefined) {
    throw new DamagedArchiveError(`it has a sparse member of an unknown format, ${major}.${minor ?? ''}`)
  }
  return new PaxSparseMap(size)
}

function numberIn(records: PaxRecords, keyword: string): number | undefined {
  const text = records.get(keyword)
  if (text === undefined) return undefined
  const value = parseDecimal(text)
  if (value === undefined) throw badHeader()
  return value
}

function parseRecords(bytes: Buffer): PaxRecords {
  const records = parsePaxRecords(bytes)
  if (records === undefined) throw badHeader()
  return records
}

function badHeader(): DamagedArchiveError {
  return new DamagedArchiveError('it has an extended header that cannot be read')
}

function upToNul(bytes: Buffer): Buffer {
  const nul = bytes.indexOf(0)
  return nul === -1 ? bytes : bytes.subarray(0, nul)
}
