import type { RealChecksumAlgorithm } from './checksum/checksum-algorithm.js'
import type { Pathname } from '../files/pathname.js'
import type { PostgresVersion } from '../postgres/versions.js'

/** A stretch of WAL that a backup needs. */
export interface WalRange {
  readonly timeline: number
  readonly startLsn: bigint
  /** The first position that is not needed. */
  readonly endLsn: bigint
}

/** The checksum of a file's bytes. */
export interface FileChecksum {
  readonly algorithm: RealChecksumAlgorithm
  /**
   * Lower-case hexadecimal, as the manifest writes it. For CRC32C that is the memory image of a little-endian
   * number: the reverse of what most libraries print.
   */
  readonly hex: string
}

/** One entry of a manifest's `"Files"`. */
export interface ManifestFile {
  /** Relative to the data directory, `/` separated; `pg_tblspc/<oid>/...` for a tablespace. */
  readonly pathname: Pathname
  /** In bytes. */
  readonly size: number
  /** As written: `YYYY-MM-DD HH:MM:SS GMT`. PostgreSQL's readers ignore it, and do not insist on it. */
  readonly lastModified: string | undefined
  /** `undefined` when the backup was taken without checksums. */
  readonly checksum: FileChecksum | undefined
  /** Whether the pathname stands as `"Encoded-Path"`, because it has to, or because the server was told to. */
  readonly isPathEncoded: boolean
}

/** The layout of a manifest: 1 up to PostgreSQL 16, 2 (with a system identifier) from 17 on. */
export type ManifestVersion = 1 | 2

/** What servers of a version write. */
export function manifestVersionOf({ hasSystemIdentifierInManifest }: PostgresVersion): ManifestVersion {
  return hasSystemIdentifierInManifest ? 2 : 1
}

/** What stands in a manifest before its files. */
export interface ManifestHeader {
  readonly version: ManifestVersion
  /** Which cluster it is; in version 2 only. */
  readonly systemIdentifier: bigint | undefined
}

/** A whole manifest in memory. */
export interface BackupManifest extends ManifestHeader {
  readonly files: readonly ManifestFile[]
  /** The WAL that the backup needs to become consistent, newest timeline first. */
  readonly walRanges: readonly WalRange[]
  /** The manifest's own SHA-256, hexadecimal. */
  readonly checksum: string
}
