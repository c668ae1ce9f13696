import { PbManifestError } from '../../errors.js'
import { displayPathname, encodePathname, type Pathname } from '../pathname.js'
import { TAR_BLOCK_BYTES } from './tar-header.js'

/** What a member's header says. */
export interface TarMember {
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
export function formatTarHeader({ name, kind, size, mode, modified, owner }: TarMember): Buffer {
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
