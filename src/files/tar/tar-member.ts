import { posix } from 'node:path'
import type { Pathname } from '../pathname.js'
import type { StoredStretch } from './sparse-member.js'

/** What a member is, in the words of messages. Only a file has bytes. */
export type TarMemberKind =
  'file' | 'directory' | 'symbolic link' | 'hard link' | 'character device' | 'block device' | 'FIFO'

/** A member of an archive. */
export interface TarMember {
  /** Bytes, as the archive has them. */
  readonly name: Buffer
  readonly kind: TarMemberKind
  /** Bytes of a link's target; of a hard link, the name of another member. */
  readonly target: Buffer
  /** Of the file, holes included; 0 of all else. */
  readonly size: number
  /** When it was changed last, in seconds since 1970; 0 where that is not known. */
  readonly modified: number
  /** Where what is stored of it begins, in bytes of the archive. */
  readonly offset: number
  /** Of a sparse file: what of it is stored. `undefined`: all. */
  readonly stretches: readonly StoredStretch[] | undefined
}

/** Is told of an archive, in its order. */
export interface TarHandler {
  /** A member begins. */
  readonly member: (member: TarMember) => void
  /** The next bytes of the file, those of holes too; good only until this returns. */
  readonly bytes: (bytes: Buffer) => void
  /** The file is whole. */
  readonly fileEnd: () => void
}

/** All other types are files, by POSIX also those that are not known. */
const KINDS: ReadonlyMap<string, TarMemberKind> = new Map([
  ['1', 'hard link'],
  ['2', 'symbolic link'],
  ['3', 'character device'],
  ['4', 'block device'],
  ['5', 'directory'],
  ['6', 'FIFO'],
  // GNU's, whose bytes are a list of what was in it.
  ['D', 'directory'],
])

/** They have no bytes, whatever their size says. */
export const BYTELESS_TYPES: ReadonlySet<string> = new Set(['1', '2', '3', '4', '5', '6'])

/** What a member of this type and name is. */
export function kindOfMember(typeflag: string, name: Buffer): TarMemberKind {
  const kind = KINDS.get(typeflag) ?? 'file'
  // Before POSIX, a directory was a file whose name ends so; GNU tar takes it for one to this day.
  return kind === 'file' && name.at(-1) === 0x2f ? 'directory' : kind
}

/** The name of a member without `.` and doubled slashes, and without the slash with which PostgreSQL ends the names of links. */
export function shortestName(name: Pathname): Pathname {
  const normalized = posix.normalize(name)
  return normalized.length > 1 && normalized.endsWith('/') ? normalized.slice(0, -1) : normalized
}
