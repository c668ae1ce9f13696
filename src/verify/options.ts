import type { Pathname } from '../files/pathname.js'
import type { WrittenArchives } from '../manifest/contents/written-archives.js'
import type { Problem, VerifyStep } from './report.js'

/** How far the reading of files has come. */
export interface VerifyProgress {
  /** Of `bytesTotal`, those whose file is done or was found not to need reading. */
  readonly bytesDone: number
  /** The sizes of all files that are to be compared with their checksum; of a tar backup, those of its archives. */
  readonly bytesTotal: number
}

/** Checksums by pathname, in lower-case hexadecimal, as whoever wrote the files computed them. */
export type KnownChecksums = ReadonlyMap<Pathname, string>

/** What to verify, and how. Every option has the default of `pg_verifybackup`. */
export interface VerifyOptions {
  /**
   * `plain`: a directory; `tar`: a directory of archives. Default: plain when there is a `PG_VERSION` in it, or nothing
   * that is named like an archive; else tar.
   */
  readonly format?: 'plain' | 'tar'
  /** Default: `backup_manifest` in the backup directory. */
  readonly manifestPath?: string
  /**
   * Pathnames, relative to the backup directory, or globs. What one of them matches is ignored, with all below it.
   * Always ignored: `backup_manifest`, `pg_wal`, `postgresql.auto.conf`, `recovery.signal`, `standby.signal`.
   */
  readonly ignore?: readonly string[]
  /** Stop at the first problem. Default false. */
  readonly exitOnError?: boolean
  /** Do not read the files. Default false. */
  readonly skipChecksums?: boolean
  /**
   * Whether to check the checksum of every data page, while the files are read. Default `auto`: when `pg_control` says
   * that the cluster has them. `on` is refused (code `USAGE`) where they cannot be checked.
   */
  readonly pageChecksums?: 'auto' | 'on' | 'off'
  /**
   * Checksums by pathname that are known already, because whoever wrote the files computed them meanwhile. They are
   * compared with the manifest, and of the files only those are read whose checksum is not known or not the manifest's.
   * Default: none, every file is read.
   */
  readonly knownChecksums?: KnownChecksums
  /**
   * Beside known checksums, of a backup in tar format: what its archives were given when they were written. One that is as long
   * as it was then, and was given exactly what the manifest has, is not read. Default: all archives are read.
   */
  readonly writtenArchives?: WrittenArchives
  /**
   * A file of allowed signers, in the format of `ssh-keygen`: the manifest has to be signed by one of them. Default: signatures
   * are not looked at.
   */
  readonly allowedSigners?: string
  /** Who of the allowed signers it has to be. Default: any. */
  readonly signerIdentity?: string
  /**
   * The signature. Default: of a manifest that is given, its path and `.sig`; else the directory's path and `.sig`, or
   * `backup_manifest.sig` in the directory.
   */
  readonly signaturePath?: string
  /** Do not look at the WAL. Default false. */
  readonly noParseWal?: boolean
  /**
   * Where the WAL segments are: a directory, or a tar archive, which may be compressed. Default: `pg_wal` in the backup
   * directory; of a tar backup, its archives.
   */
  readonly walDirectory?: string
  /** Take `NAME.partial` for a WAL segment that is missing, as `pg_receivewal` leaves it. Default false. */
  readonly partialWal?: boolean
  /**
   * How many worker threads read files, archives and WAL at most, at least 1; more than 64 are taken as 64. Default:
   * `os.availableParallelism()`, and 8 where that is less and the storage of files in plain format answers late.
   */
  readonly jobs?: number
  /** How much is read in a second, in kB, by all threads together: 32 to 1048576. Default: no limit. */
  readonly maxRate?: number
  /** Stops the verification; the promise then rejects with code `ABORTED`. */
  readonly signal?: AbortSignal
  /** Is told each problem as soon as it is known. */
  readonly onProblem?: (problem: Problem) => void
  /** Is told often; a caller that prints should do so rarely. */
  readonly onProgress?: (progress: VerifyProgress) => void
  /** Is told each step when it begins. */
  readonly onStep?: (step: VerifyStep) => void
}
