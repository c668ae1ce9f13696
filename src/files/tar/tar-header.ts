import { PbManifestError } from '../../errors.js'
import { displayPathname, encodePathname, type Pathname } from '../pathname.js'

/** Headers and the bytes of members stand in blocks of this size. */
export const TAR_BLOCK_BYTES = 512

/** The header of a member, as it stands. */
export interface TarHeader {
  /** The bytes of the name, the prefix of ustar before it. */
  readonly name: Buffer
  /** One character; NUL in old archives means a file. */
  readonly typeflag: string
  readonly size: number
  /** When the file was changed last, in seconds since 1970; 0 where the header does not say. */
  readonly modified: number
  /** The bytes of a link's target. */
  readonly target: Buffer
  /** GNU's own, which has other things where POSIX has the prefix. */
  readonly isGnu: boolean
}

const NAME = { start: 0, end: 100 } as const
const SIZE = { start: 124, end: 136 } as const
const MODIFIED = { start: 136, end: 148 } as const
const CHECKSUM = { start: 148, end: 156 } as const
const TYPEFLAG = 156
const TARGET = { start: 157, end: 257 } as const
const MAGIC = { start: 257, end: 263 } as const
const PREFIX = { start: 345, end: 500 } as const
/** Joerg Schilling's star keeps times behind a shorter prefix, and says so in the last bytes of the block. */
const STAR_PREFIX_END = 476
const STAR_MAGIC = { start: 508, end: 512 } as const

const SPACE = 0x20
const SLASH = 0x2f
const ZERO = 0x30

/**
 * Reads a header of any kind of tar: POSIX ustar, GNU, star, and what came before them.
 *
 * @returns what is wrong with it, when it is none
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html "ustar Interchange Format"
 * @see src/port/tar.c of PostgreSQL, isValidTarHeader
 */
export function parseTarHeader(block: Buffer): TarHeader | string {
  if (!hasRightChecksum(block)) return 'bad header checksum'
  const size = readNumber(block, SIZE.start, SIZE.end)
  if (size === undefined) return 'bad size in header'
  return {
    name: readName(block),
    typeflag: String.fromCharCode(block[TYPEFLAG] ?? 0),
    size,
    modified: readNumber(block, MODIFIED.start, MODIFIED.end) ?? 0,
    target: Buffer.from(textIn(block, TARGET.start, TARGET.end)),
    isGnu: block.toString('latin1', MAGIC.start, MAGIC.end) === 'ustar ',
  }
}

/** The sum of all bytes, the checksum's own taken as spaces. Some old programs took bytes above 127 as negative. */
function hasRightChecksum(block: Buffer): boolean {
  const expected = readNumber(block, CHECKSUM.start, CHECKSUM.end)
  let sum = (CHECKSUM.end - CHECKSUM.start) * SPACE
  let high = 0
  for (let at = 0; at < TAR_BLOCK_BYTES; at++) {
    if (at === CHECKSUM.start) at = CHECKSUM.end
    const byte = block[at] as number
    sum += byte
    high += byte >> 7
  }
  return expected === sum || expected === sum - 256 * high
}

function readName(block: Buffer): Buffer {
  const name = textIn(block, NAME.start, NAME.end)
  // GNU's own headers have other things where POSIX has the prefix.
  const isPosix = block.toString('latin1', MAGIC.start, MAGIC.end) === 'ustar\0'
  if (!isPosix || block[PREFIX.start] === 0) return Buffer.from(name)
  const isStar = block.toString('latin1', STAR_MAGIC.start, STAR_MAGIC.end) === 'tar\0'
  const prefix = textIn(block, PREFIX.start, isStar ? STAR_PREFIX_END : PREFIX.end)
  return Buffer.concat([prefix, Buffer.of(SLASH), name])
}

/** The bytes up to the first NUL. */
function textIn(block: Buffer, start: number, end: number): Buffer {
  const nul = block.indexOf(0, start)
  return block.subarray(start, nul === -1 || nul > end ? end : nul)
}

/** A number of a header: octal digits, or binary when the first bit is set; `undefined` for what is neither, or beyond 2^53. */
export function readNumber(block: Buffer, start: number, end: number): number | undefined {
  const value =
    (block[start] as number) >= 0x80 ? readBinary(block, start, end) : readOctal(block, start, end)
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined
}

function readOctal(block: Buffer, start: number, end: number): number | undefined {
  let at = start
  while (at < end && block[at] === SPACE) at++
  let value = 0
  for (; at < end && isOctalDigit(block[at]); at++) value = value * 8 + ((block[at] as number) - ZERO)
  for (; at < end; at++) if (block[at] !== SPACE && block[at] !== 0) return undefined
  return value
}

/** GNU's base-256 for sizes of 8 GiB and more: the bits after the first; a second one would make it negative. */
function readBinary(block: Buffer, start: number, end: number): number | undefined {
  let value = (block[start] as number) & 0x7f
  if (value >= 0x40) return undefined
  for (let at = start + 1; at < end; at++) value = value * 256 + (block[at] as number)
  return value
}

function isOctalDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte < ZERO + 8
}

/** What a member's header says. */
export interface MemberHeader {
  /** A directory's without the slash that its header has at the end. */
  readonly name: Pathname
  readonly kind: 'file' | 'directory'
  /** 0 of a directory. */
  readonly size: number
  /** Permission bits. */
  readonly mode: number
  /** Seconds since 1970. */
  readonly modified: number
  readonly owner: TarOwner
}

/** Numbers of a user and a group. Names are always `postgres`, by which tar goes where there is such a user. */
export interface TarOwner {
  readonly uid: number
  readonly gid: number
}

/** So much of a name the header has room for, with the NUL that ends it. */
const NAME_BYTES = 100

/**
 * Makes the header of a member as PostgreSQL does: POSIX ustar without the prefix, sizes of 8 GiB and more in GNU's base-256.
 *
 * @throws {@link PbManifestError} `IO` for a name of more than 99 bytes, in the server's words
 * @see src/port/tar.c (`tarCreateHeader`)
 */
export function formatTarHeader({ name, kind, size, mode, modified, owner }: MemberHeader): Buffer {
  const bytes = encodePathname(kind === 'directory' ? `${name}/` : name)
  if (bytes.length > NAME_BYTES - (kind === 'directory' ? 0 : 1)) {
    throw new PbManifestError('IO', `file name too long for tar format: "${displayPathname(name)}"`, {
      hint: 'Names of more than 99 bytes can be backed up in plain format only.',
    })
  }
  const header = Buffer.alloc(TAR_BLOCK_BYTES)
  bytes.copy(header, 0)
  writeNumber(header, 100, 8, mode & 0o7777)
  writeNumber(header, 108, 8, owner.uid)
  writeNumber(header, 116, 8, owner.gid)
  writeNumber(header, 124, 12, size)
  writeNumber(header, 136, 12, Math.max(modified, 0))
  header.write(kind === 'directory' ? '5' : '0', 156)
  header.write('ustar\u000000', 257, 'latin1')
  header.write('postgres', 265)
  header.write('postgres', 297)
  writeNumber(header, 329, 8, 0)
  writeNumber(header, 337, 8, 0)
  header.fill(' ', 148, 156)
  let sum = 0
  for (const byte of header) sum += byte
  writeNumber(header, 148, 8, sum)
  return header
}

/** How many bytes a member takes in an archive, with its header. */
export function bytesOfMember(size: number): number {
  return TAR_BLOCK_BYTES + size + paddingAfter(size)
}

/** How many zeros follow the bytes of a member, up to the next block. */
function paddingAfter(size: number): number {
  return (TAR_BLOCK_BYTES - (size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES
}

/** What an archive ends with: two blocks of zeros. */
export const TAR_TRAILER: Buffer = Buffer.alloc(2 * TAR_BLOCK_BYTES)

/** Octal with a space behind it; where that has no room, binary after a byte that says so. @see src/port/tar.c (`print_tar_number`) */
function writeNumber(header: Buffer, at: number, length: number, value: number): void {
  const digits = value.toString(8)
  if (digits.length < length) {
    header.write(`${digits.padStart(length - 1, '0')} `, at, 'latin1')
    return
  }
  header[at] = 0x80
  let rest = BigInt(value)
  for (let place = at + length - 1; place > at; place--) {
    header[place] = Number(rest & 0xffn)
    rest >>= 8n
  }
}
