import type { Pathname } from '../../files/pathname.js'
import { BACKUP_LABEL, CONTROL_FILE, TABLESPACE_MAP } from '../../postgres/data-directory.js'

/** What the archives of a backup were given when they were written. */
export interface WrittenArchives {
  /** How many bytes each has as it is stored, by its name. That of WAL is not among them. */
  readonly sizes: ReadonlyMap<string, number>
  readonly files: readonly WrittenFile[]
  readonly directories: readonly Pathname[]
}

/** A file that an archive was given whole. */
export interface WrittenFile {
  /** In the backup: with what stands before the names of its archive. */
  readonly pathname: Pathname
  readonly size: number
  /** Of small files that say what the cluster is: those of `keepsContent`. */
  readonly content: Uint8Array | undefined
}

/** A longer one is not what it should be. */
const MAX_SMALL_FILE_BYTES = 1024 * 1024

/** What the checks of the cluster, and of what is left out, read. Each database has a `PG_VERSION` too, of which a link may be another name. */
const SMALL_FILES = new RegExp(
  `^(?:(?:.*/)?PG_VERSION|${BACKUP_LABEL}|${CONTROL_FILE}|${TABLESPACE_MAP}|postgresql\\.auto\\.conf|(?:recovery|standby)\\.signal|pg_wal/[0-9A-F]{8}\\.history)$`,
  's',
)

/** Whether a check will want the bytes of this file. */
export function keepsContent(pathname: Pathname, size: number): boolean {
  return size <= MAX_SMALL_FILE_BYTES && SMALL_FILES.test(pathname)
}
