import type { Pathname } from '../../files/pathname.js'
import type { Compression } from '../../files/compression/compression.js'
import { parsePositiveUnsignedInt32 } from '../../postgres/unsigned-int.js'

/** An archive of a backup. */
export interface Archive {
  /** What it is called in messages. */
  readonly name: string
  /** `undefined`: it is a stream. */
  readonly path: string | undefined
  readonly contents: ArchiveContents
  /** `undefined`: to be found out by its first bytes. */
  readonly compression: Compression | undefined
  /** Its bytes as they are stored; 0 when that is not known. */
  readonly size: number
}

/** Which part of a backup an archive holds: the data directory, a tablespace by its OID, or the WAL. */
export type ArchiveContents = 'base' | 'pg_wal' | { readonly tablespaceOid: number }

/** What the name of an archive says. */
export interface ArchiveName {
  readonly contents: ArchiveContents
  readonly compression: Compression
}

const compressions: ReadonlyMap<string, Compression> = new Map([
  ['tar', 'none'],
  ['tgz', 'gzip'],
  ['tar.gz', 'gzip'],
  ['tar.lz4', 'lz4'],
  ['tar.zst', 'zstd'],
])

/**
 * Understands the name of an archive: `base.tar`, `16384.tar.gz`, `pg_wal.tar.zst`.
 *
 * @returns `undefined` when no archive of a backup has such a name
 * @see src/bin/pg_verifybackup/pg_verifybackup.c, precheck_tar_backup_file
 */
export function parseArchiveName(name: string): ArchiveName | undefined {
  const [, stem = '', suffix = ''] = /^([^.]+)\.(.+)$/.exec(name) ?? []
  const compression = compressions.get(suffix)
  const contents = parseArchiveContents(stem)
  return compression === undefined || contents === undefined ? undefined : { contents, compression }
}

/** Understands a name without its suffix. */
export function parseArchiveContents(stem: string): ArchiveContents | undefined {
  if (stem === 'base' || stem === 'pg_wal') return stem
  const tablespaceOid = parsePositiveUnsignedInt32(stem)
  return tablespaceOid === undefined ? undefined : { tablespaceOid }
}

/** What stands before the names of an archive's members in a manifest. */
export function pathnamePrefix(contents: ArchiveContents): string {
  if (contents === 'base') return ''
  return contents === 'pg_wal' ? 'pg_wal/' : `pg_tblspc/${contents.tablespaceOid}/`
}

/** What stands before the name of a file in its archive, by its pathname: that of a tablespace, or nothing. */
export function archivePrefixOf(pathname: Pathname): string {
  return /^pg_tblspc\/[0-9]+\//.exec(pathname)?.[0] ?? ''
}
