import { DamagedArchiveError } from '../damaged-archive-error.js'
import { decodePathname, displayPathname } from '../pathname.js'
import { MemberAttributes } from './member-attributes.js'
import { parseTarHeader, TAR_BLOCK_BYTES, type TarHeader } from './tar-header.js'

/** A member of an archive. */
export interface TarMember {
  /** Bytes, as the archive has them. */
  readonly name: Buffer
  /** A file is what has bytes; directories, links and all else come without. */
  readonly isFile: boolean
  readonly size: number
  /** Where its bytes begin, in bytes of the archive. */
  readonly offset: number
}

/** Is told of an archive, in its order. */
export interface TarHandler {
  /** A member begins. */
  readonly member: (member: TarMember) => void
  /** The next bytes of the file; good only until this returns. */
  readonly bytes: (bytes: Buffer) => void
  /** The file is whole. */
  readonly fileEnd: () => void
}

type State =
  | 'header'
  /** Bytes of a file, which the handler is told. */
  | 'file'
  /** Bytes of an extended header, which are kept. */
  | 'attributes'
  /** Bytes of anything else. */
  | 'other'
  /** What fills up the last block of a member. */
  | 'padding'
  /** Behind the first block of zeros. */
  | 'trailer'

const FILE_TYPES = new Set(['0', '\0', '7'])
/** Links, devices, directories and FIFOs have no bytes, whatever their size says. */
const EMPTY_TYPES = new Set(['1', '2', '3', '4', '5', '6'])
const NO_BYTES = Buffer.alloc(0)

/**
 * Reads a tar archive: bytes in, in pieces of any size, members out. Touches neither files nor sockets.
 *
 * Knows ustar with its prefix, GNU's long names and large sizes, and pax extended headers. Holds a header at most.
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
  /** Where the block ends that is read as a header. */
  #headerEnd = 0
  #lastName: Buffer = NO_BYTES

  constructor(handler: TarHandler) {
    this.#handler = handler
  }

  /** @throws {@link DamagedArchiveError} */
  write(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const before = at
      at = this.#state === 'header' ? this.#readHeader(chunk, at) : this.#readContent(chunk, at)
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

  #readHeader(chunk: Buffer, at: number): number {
    const missing = TAR_BLOCK_BYTES - this.#block.length
    const end = Math.min(at + missing, chunk.length)
    this.#headerEnd = this.#offset + end - at
    if (missing === TAR_BLOCK_BYTES && end - at === TAR_BLOCK_BYTES) {
      this.#takeHeader(chunk.subarray(at, end))
    } else {
      this.#block = Buffer.concat([this.#block, chunk.subarray(at, end)])
      if (this.#block.length === TAR_BLOCK_BYTES) {
        const block = this.#block
        this.#block = NO_BYTES
        this.#takeHeader(block)
      }
    }
    return end
  }

  #takeHeader(block: Buffer): void {
    if (isZero(block)) {
      this.#state = 'trailer'
      this.#trailerBytes = TAR_BLOCK_BYTES
      return
    }
    const header = parseTarHeader(block)
    if (typeof header === 'string') throw this.#notTar(header)
    const { typeflag } = header
    if (this.#attributes.takes(typeflag)) this.#expect('attributes', header.size)
    else this.#beginMember(this.#attributes.applyTo(header), typeflag)
  }

  #beginMember({ name, size }: Omit<TarHeader, 'typeflag'>, typeflag: string): void {
    this.#lastName = name
    // Before POSIX, a directory was a file whose name ends so.
    const isFile = FILE_TYPES.has(typeflag) && !(typeflag === '\0' && name.at(-1) === 0x2f)
    this.#handler.member({ name, isFile, size: isFile ? size : 0, offset: this.#headerEnd })
    this.#expect(isFile ? 'file' : 'other', EMPTY_TYPES.has(typeflag) ? 0 : size)
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
    if (this.#state === 'file') this.#handler.bytes(bytes)
    else if (this.#state === 'attributes') this.#attributes.add(bytes)
    this.#left -= length
    if (this.#left === 0) this.#endContent()
    return at + length
  }

  #endContent(): void {
    const state = this.#state
    this.#state = 'header'
    if (state === 'padding') return
    if (this.#padding > 0) {
      this.#state = 'padding'
      this.#left = this.#padding
    }
    if (state === 'file') this.#handler.fileEnd()
    else if (state === 'attributes') this.#attributes.end()
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

const ZEROS = Buffer.alloc(64 * 1024)

function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length)
    if (!part.equals(ZEROS.subarray(0, part.length))) return false
  }
  return true
}
