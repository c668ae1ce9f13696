import { join } from 'node:path'
import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import type { TarOwner } from '../../files/tar/tar-header.js'
import { SETTINGS_FILE, SIGNAL_FILE } from '../recovery-settings.js'

/** An archive of a set. */
export interface TargetArchive {
  /** `base.tar`, or `OID.tar`. */
  readonly name: string
  /** What the pathnames of its files begin with in a manifest, and their names in the archive do not. */
  readonly prefix: string
}

/** Where the files of a backup in tar format go. Plain data and shared memory: it crosses threads. */
export interface TarPlace {
  readonly kind: 'tar'
  readonly directory: string
  /** That of the data directory is the last. */
  readonly archives: readonly TargetArchive[]
  readonly memory: SharedArrayBuffer
  /** What the file of settings gets at its end. */
  readonly recoverySettings: Uint8Array | undefined
}

/** Numbers that PostgreSQL gives the members that it makes itself. @see src/bin/pg_basebackup/astreamer_inject.c */
export const POSTGRES_OWNER: TarOwner = { uid: 0o4000, gid: 0o2000 }

const NOTES = 0
const FIRST_END = 1

/**
 * Where the archives of a set end, in memory that all who write share: a member's place is claimed when its bytes begin to come,
 * so a file that has vanished leaves none empty.
 */
export class ArchiveEnds {
  readonly #slots: BigInt64Array

  constructor(memory: SharedArrayBuffer) {
    this.#slots = new BigInt64Array(memory)
  }

  static allocate(archives: number): SharedArrayBuffer {
    return new SharedArrayBuffer((FIRST_END + archives) * BigInt64Array.BYTES_PER_ELEMENT)
  }

  /** @returns where they begin */
  claim(archive: number, bytes: number): number {
    return Number(Atomics.add(this.#slots, FIRST_END + archive, BigInt(bytes)))
  }

  end(archive: number): number {
    return Number(Atomics.load(this.#slots, FIRST_END + archive))
  }

  /** See {@link NotedFiles}. */
  get notes(): NotedFiles {
    return new NotedFiles(this.#slots, NOTES)
  }
}

/** Files of which it matters whether they have come; each is a bit. */
const notedFiles: readonly Pathname[] = [SETTINGS_FILE, SIGNAL_FILE]

/** Which of the files that `-R` writes have come from the server, in shared memory. */
export class NotedFiles {
  readonly #slots: BigInt64Array
  readonly #index: number

  constructor(slots: BigInt64Array, index: number) {
    this.#slots = slots
    this.#index = index
  }

  has(pathname: Pathname): boolean {
    return (Atomics.load(this.#slots, this.#index) & bitOf(pathname)) !== 0n
  }

  /** A file comes. */
  note(pathname: Pathname): void {
    if (notedFiles.includes(pathname)) Atomics.or(this.#slots, this.#index, bitOf(pathname))
  }
}

function bitOf(pathname: Pathname): bigint {
  return 1n << BigInt(notedFiles.indexOf(pathname))
}

/** A file's archive, and its name there. */
export interface MemberPlace {
  /** Its place among the archives. */
  readonly archive: number
  readonly name: Pathname
}

/** Finds the archives of files. */
export class MemberPlaces {
  readonly #directory: string
  readonly #archives: readonly TargetArchive[]
  readonly #byPrefix: ReadonlyMap<string, number>

  constructor({ directory, archives }: Pick<TarPlace, 'directory' | 'archives'>) {
    this.#directory = directory
    this.#archives = archives
    this.#byPrefix = new Map(archives.map(({ prefix }, index) => [prefix, index]))
  }

  of(pathname: Pathname): MemberPlace {
    const prefix = /^pg_tblspc\/[0-9]+\//.exec(pathname)?.[0] ?? ''
    const archive = this.#byPrefix.get(prefix)
    if (archive !== undefined) return { archive, name: pathname.slice(prefix.length) }
    throw new PbManifestError('SERVER', `there is no tablespace for file "${displayPathname(pathname)}"`)
  }

  pathOf(archive: number): string {
    return join(this.#directory, this.#archives[archive]?.name ?? '')
  }
}
