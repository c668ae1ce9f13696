import { DamagedArchiveError } from '../damaged-archive-error.js'
import { decodePathname, displayPathname } from '../pathname.js'
import { MemberAttributes } from './member-attributes.js'
import {
  GnuSparseMap,
  soundSparseMap,
  SparseFile,
  type SparseMap,
  type SparseMapBlocks,
} from './sparse-member.js'
import { BYTELESS_TYPES, kindOfMember, type TarHandler, type TarMember } from './tar-member.js'
import { parseTarHeader, TAR_BLOCK_BYTES, type TarHeader } from './tar-header.js'

type State =
  | 'header'
  /** Bytes of a file, which the handler is told. */
  | 'file'
  /** Bytes of an extended header, which are kept. */
  | 'attributes'
  /** Bytes of anything else. */
  | 'other'
  /** Blocks with the map of a sparse member. */
  | 'sparse map'
  /** What fills up the last block of a member. */
  | 'padding'
  /** Behind the first block of zeros. */
  | 'trailer'

/** A name for the archive itself. */
const VOLUME_LABEL = 'V'
/** What is left of a file in the archive before this one. */
const CONTINUATION = 'M'
const GNU_SPARSE = 'S'
const NO_BYTES = Buffer.alloc(0)

/**
 * Reads a tar archive: bytes in, in pieces of any size, members out. Touches neither files nor sockets.
 *
 * Knows ustar with its prefix, GNU's long names and large sizes, pax extended headers, and sparse members of all of them.
 * Holds a header and a map at most.
 */
export class TarReader {
  readonly #handler: TarHandler
  readonly #attributes = new MemberAttributes()
  #state: State = 'header'
  /** The bytes of a block that has not come whole. */
  #block: Buffer = NO_BYTES
  /** How many bytes are left of this state. */
  #left = 0
  /** How long the padding behind the bytes is. */
  #padding = 0
  #trailerBytes = 0
  #offset = 0
  /** Where the block ends that is being read. */
  #blockEnd = 0
  #lastName: Buffer = NO_BYTES
  /** The member whose map is being read. */
  #pending: PendingMember | undefined
  /** Makes the bytes of the member that is being read, when it is sparse. */
  #sparse: SparseFile | undefined

  constructor(handler: TarHandler) {
    this.#handler = handler
  }

  /** @throws {@link DamagedArchiveError} */
  write(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const before = at
      const isBlock = this.#state === 'header' || this.#state === 'sparse map'
      at = isBlock ? this.#readBlock(chunk, at) : this.#readContent(chunk, at)
      this.#offset += at - before
    }
  }

  /**
   * Says that there are no more bytes.
   *
   * @throws {@link DamagedArchiveError} when there should be
   */
  end(): void {
    if (this.#offset === 0) throw new DamagedArchiveError('it is empty')
    if (this.#state === 'trailer' && this.#trailerBytes >= 2 * TAR_BLOCK_BYTES) return
    const isWithin = this.#state === 'file' || this.#state === 'other'
    throw new DamagedArchiveError(
      isWithin ? `it ends in the middle of member ${this.#shownName()}` : 'it ends without its end mark',
      `it has ${this.#offset} bytes, and its last member is ${this.#shownName()}`,
    )
  }

  #readBlock(chunk: Buffer, at: number): number {
    const missing = TAR_BLOCK_BYTES - this.#block.length
    const end = Math.min(at + missing, chunk.length)
    this.#blockEnd = this.#offset + end - at
    if (missing === TAR_BLOCK_BYTES && end - at === TAR_BLOCK_BYTES) {
      this.#takeBlock(chunk.subarray(at, end))
    } else {
      this.#block = Buffer.concat([this.#block, chunk.subarray(at, end)])
      if (this.#block.length === TAR_BLOCK_BYTES) {
        const block = this.#block
        this.#block = NO_BYTES
        this.#takeBlock(block)
      }
    }
    return end
  }

  #takeBlock(block: Buffer): void {
    if (this.#pending === undefined) return this.#takeHeader(block)
    const { member, map, storedBytes } = this.#pending
    const left = map.isInBytes ? storedBytes - TAR_BLOCK_BYTES : storedBytes
    if (left < 0) throw new DamagedArchiveError('it has a sparse member that ends within its map')
    const whole = map.addBlock(block)
    if (whole === undefined) this.#pending = { member, map, storedBytes: left }
    else this.#beginSparse(member, whole, left)
  }

  #takeHeader(block: Buffer): void {
    if (isZero(block)) {
      this.#state = 'trailer'
      this.#trailerBytes = TAR_BLOCK_BYTES
      return
    }
    const header = parseTarHeader(block)
    if (typeof header === 'string') throw this.#notTar(header)
    if (this.#attributes.takes(header.typeflag)) this.#expect('attributes', header.size)
    else this.#beginMember(header, block)
  }

  #beginMember(header: TarHeader, block: Buffer): void {
    const { typeflag, isGnu, modified } = header
    const { sparse, size, ...names } = this.#attributes.applyTo(header)
    if (typeflag === VOLUME_LABEL) return this.#expect('other', size)
    this.#lastName = names.name
    if (typeflag === CONTINUATION) throw new DamagedArchiveError('it is one of the volumes of an archive')
    const kind = kindOfMember(typeflag, names.name)
    if (kind !== 'file') {
      this.#tell({ ...names, kind, modified }, 0, undefined)
      // Links, devices, directories and FIFOs have no bytes, whatever their size says; but what was taken for one has.
      return this.#expect('other', BYTELESS_TYPES.has(typeflag) ? 0 : size)
    }
    const member = { ...names, kind, modified }
    const map = typeflag === GNU_SPARSE ? gnuMap(block, isGnu) : sparse
    if (map === undefined) {
      this.#tell(member, size, undefined)
      return this.#expect('file', size)
    }
    if ('stretches' in map) return this.#beginSparse(member, map, size)
    if (map.whole !== undefined) return this.#beginSparse(member, map.whole, size)
    this.#state = 'sparse map'
    this.#pending = { member, map, storedBytes: size }
  }

  #beginSparse(member: NamedMember, whole: SparseMap, storedBytes: number): void {
    this.#pending = undefined
    const map = soundSparseMap(whole, storedBytes)
    this.#tell(member, map.size, map.stretches)
    this.#sparse = new SparseFile(map, (bytes) => this.#handler.bytes(bytes))
    this.#expect('file', storedBytes)
  }

  #tell(member: NamedMember, size: number, stretches: TarMember['stretches']): void {
    this.#handler.member({ ...member, size, offset: this.#blockEnd, stretches })
  }

  #expect(state: State, bytes: number): void {
    this.#state = state
    this.#left = bytes
    this.#padding = (TAR_BLOCK_BYTES - (bytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES
    if (bytes === 0) this.#endContent()
  }

  #readContent(chunk: Buffer, at: number): number {
    if (this.#state === 'trailer') return this.#readTrailer(chunk, at)
    const length = Math.min(this.#left, chunk.length - at)
    const bytes = length === chunk.length ? chunk : chunk.subarray(at, at + length)
    if (this.#state === 'file') this.#fileBytes(bytes)
    else if (this.#state === 'attributes') this.#attributes.add(bytes)
    this.#left -= length
    if (this.#left === 0) this.#endContent()
    return at + length
  }

  #fileBytes(bytes: Buffer): void {
    if (this.#sparse === undefined) this.#handler.bytes(bytes)
    else this.#sparse.write(bytes)
  }

  #endContent(): void {
    const state = this.#state
    this.#state = 'header'
    if (state === 'padding') return
    if (this.#padding > 0) {
      this.#state = 'padding'
      this.#left = this.#padding
    }
    if (state === 'file') {
      this.#sparse?.end()
      this.#sparse = undefined
      this.#handler.fileEnd()
    } else if (state === 'attributes') {
      this.#attributes.end()
    }
  }

  /** Two blocks of zeros end an archive; tapes and some programs add more of them. */
  #readTrailer(chunk: Buffer, at: number): number {
    const rest = chunk.subarray(at)
    if (!isZero(rest)) {
      throw new DamagedArchiveError(
        'there are other bytes behind its end',
        `its last member is ${this.#shownName()}`,
      )
    }
    this.#trailerBytes += rest.length
    return chunk.length
  }

  /** In the words of PostgreSQL's programs. */
  #notTar(why: string): DamagedArchiveError {
    const where = this.#lastName.length === 0 ? '' : `, behind member ${this.#shownName()}`
    const start = Math.floor(this.#offset / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES
    return new DamagedArchiveError(
      'input file does not appear to be a valid tar archive',
      `${why} at byte ${start}${where}`,
    )
  }

  #shownName(): string {
    return `"${displayPathname(decodePathname(this.#lastName))}"`
  }
}

type NamedMember = Pick<TarMember, 'name' | 'kind' | 'target' | 'modified'>

/** A sparse member as long as its map is not whole. */
interface PendingMember {
  readonly member: NamedMember
  readonly map: SparseMapBlocks
  /** How many bytes the archive has of it, behind the blocks that were read. */
  readonly storedBytes: number
}

function gnuMap(header: Buffer, isGnu: boolean): GnuSparseMap {
  // Other programs have members of this type, too, with their maps elsewhere.
  if (!isGnu) throw new DamagedArchiveError('it has a sparse member of an unknown format')
  return new GnuSparseMap(header)
}

const ZEROS = Buffer.alloc(64 * 1024)

function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length)
    if (!part.equals(ZEROS.subarray(0, part.length))) return false
  }
  return true
}
