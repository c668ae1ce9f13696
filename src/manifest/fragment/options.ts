import type { ChecksumAlgorithm } from '../checksum/checksum-algorithm.js'
import type { Pathname } from '../../files/pathname.js'

/** Which files a worker records, where, and how. */
export interface WriteFragmentOptions {
  /** The data directory, or a plain copy of one. Nothing may change it meanwhile. */
  readonly directory: string
  /** The file to write; it must not exist. By convention `backup_manifest_<backup-id>.<worker>`. */
  readonly output: string
  /** 32 hexadecimal digits, the same for every worker of one backup. */
  readonly backupId: string
  /** This worker's number, from 0. */
  readonly worker: number
  /** How many workers share the directory; this one takes its share. Give this or `files`, not both. */
  readonly workers?: number
  /** The pathnames to record, relative to the directory. */
  readonly files?: readonly Pathname[]
  /**
   * Record what a server's own backup leaves out as well, but for `pg_wal`: for a copy of a whole directory. Default false.
   */
  readonly includeAll?: boolean
  /** Default CRC32C. */
  readonly checksumAlgorithm?: ChecksumAlgorithm
  readonly signal?: AbortSignal
}

/** What was written. */
export interface SealedFragment {
  readonly files: number
  readonly bytes: number
  /** SHA-256 of the fragment without its seal, hexadecimal. */
  readonly fragmentChecksum: string
}

/** What was written, and what was passed over. */
export interface WriteFragmentResult extends SealedFragment {
  /** Links, FIFOs and the like in the directory, which no backup takes; the same for every worker. */
  readonly specialFiles: readonly Pathname[]
  /** Files that a server's own backup leaves out, of the directory or of those that were named; `verify` calls them extra. */
  readonly leftOut: readonly Pathname[]
  /** Sentences on what could not be known. */
  readonly warnings: readonly string[]
}
