import type { RealChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import type { GoodSignature } from '../signature/check-signature.js'

/**
 * The kinds of problem that a verification can find. Programs may rely on these words.
 *
 * - `missing`, `extra`, `size-mismatch`, `checksum-mismatch`: the directory is not what the manifest says
 * - `missing-directory`: a directory that a server of the backup's version needs, and that no manifest lists, is not there
 * - `not-a-file`: neither a regular file nor a directory
 * - `unreadable`: the operating system refused to read it
 * - `changed-while-read`: fewer or more bytes came than its size promised
 * - `page-checksum`: a data page does not have the checksum in its header
 * - `partial-page`: a relation's file ends within a page
 * - `incremental-file`: a file of changed pages (`INCREMENTAL.*`) does not have its layout
 * - `duplicate`: a file is in the archives of a tar backup more than once
 * - `bad-archive`: an archive of a tar backup is damaged, or has a member that nobody should unpack
 * - `control-file`: pg_control is damaged, or of another cluster than the manifest or the WAL
 * - `backup-label`: backup_label is damaged, or does not fit the manifest's WAL ranges or pg_control
 * - `tablespace-map`: tablespace_map is damaged
 * - `wal-range`: a WAL range is empty, reversed, or overlaps another of its timeline
 * - `wal-missing`, `wal-invalid`: a segment that a WAL range needs is not there, or is not that segment, or a record in it is
 *   damaged
 * - `signature-missing`, `signature-invalid`, `signer-not-allowed`: the manifest has to be signed, and is not; its signature is
 *   of other bytes or cannot be read; its signature is good, but by nobody who may sign it now
 */
export const problemKinds = [
  'missing',
  'extra',
  'missing-directory',
  'not-a-file',
  'size-mismatch',
  'unreadable',
  'changed-while-read',
  'checksum-mismatch',
  'page-checksum',
  'partial-page',
  'incremental-file',
  'duplicate',
  'bad-archive',
  'control-file',
  'backup-label',
  'tablespace-map',
  'wal-range',
  'wal-missing',
  'wal-invalid',
  'signature-missing',
  'signature-invalid',
  'signer-not-allowed',
] as const

/** What kind of problem a backup has. */
export type ProblemKind = (typeof problemKinds)[number]

/** Something that is wrong with the backup. */
export interface Problem {
  readonly kind: ProblemKind
  /** The file it is about, relative to the backup directory; absent when it is about no single file. */
  readonly path?: string
  /** The file's name in hexadecimal, in place of `path` when the name is not UTF-8. */
  readonly encodedPath?: string
  /** One line, in the words of `pg_verifybackup` where it has words for it. */
  readonly message: string
  /** What more is known, one line. */
  readonly detail?: string
}

/**
 * The kinds of warning. Programs may rely on these words.
 *
 * - `changed-later`, `added-later`, `removed-later`: `postgresql.auto.conf` or a signal file is not what the manifest says
 * - `directory-of-a-setting`: a directory is not there that a server needs with some settings only
 */
export const warningKinds = [
  'changed-later',
  'added-later',
  'removed-later',
  'directory-of-a-setting',
] as const

/** Something to know about the backup, which does not make it a bad one. */
export interface Warning {
  readonly kind: (typeof warningKinds)[number]
  /** The file or directory it is about, relative to the backup directory. */
  readonly path: string
  /** One line. */
  readonly message: string
}

/** Something that was not looked at, although it could be wrong. */
export interface NotChecked {
  readonly what:
    | 'file-checksums'
    | 'files-without-checksum'
    | 'ignored-paths'
    | 'unseen-files'
    | 'needed-directories'
    | 'files-written-later'
    | 'reading-again'
    | 'control-file'
    | 'backup-label'
    | 'wal'
    | 'wal-records'
    | 'page-checksums'
    | 'incremental-files'
    | 'earlier-backups'
    | 'after-first-problem'
  /** A sentence. */
  readonly why: string
}

/** The steps of a verification, in their order. */
export const verifySteps = ['manifest', 'scan', 'checksums', 'cluster', 'wal'] as const

/** A step of a verification. */
export type VerifyStep = (typeof verifySteps)[number]

/** The manifest that a backup was verified against. */
export interface VerifiedManifest {
  readonly path: string
  readonly version: 1 | 2
  /** Decimal, as a string because it exceeds 2^53; `null` in version 1. */
  readonly systemIdentifier: string | null
  /** How many files it lists. */
  readonly files: number
  /** The sum of their sizes. */
  readonly bytes: number
  readonly walRanges: readonly {
    readonly timeline: number
    readonly startLsn: string
    readonly endLsn: string
  }[]
  /** The manifest's own SHA-256. */
  readonly checksum: string
}

/** Data pages whose checksum was checked. */
export interface CheckedPages {
  readonly checked: number
  /** Those that do not have their checksum, or look new but are not all zeros. Not all of them are named by a problem. */
  readonly mismatched: number
  /** Those that do not have it either, but were changed during the backup: the replay of its WAL writes them anew. */
  readonly newer: number
  /** The same of pages whose own LSN does not say so, because the half with the LSN was copied before they were changed. */
  readonly replayed: number
}

/**
 * The result of a verification, as data. Every rendering is made from it; it is the same for any number of jobs,
 * but for `seconds` and `engines`.
 *
 * @see schemas/verify-report.schema.json
 */
export interface VerifyReport {
  readonly reportVersion: 1
  readonly pbmanifestVersion: string
  /** The backup directory, as it was given. */
  readonly directory: string
  /** The format it is in, as given or found out. */
  readonly format: 'plain' | 'tar'
  /**
   * - `failed`: there are problems
   * - `partial`: there are none, but only a part of the backup was there to be seen, or all was ignored; see `notChecked`
   * - `verified`: there are none, and all was seen but for what `notChecked` names
   */
  readonly verdict: 'verified' | 'failed' | 'partial'
  readonly manifest: VerifiedManifest
  /** The manifest's, when it has to be signed; `null` when there is a problem with it. */
  readonly signature?: GoodSignature | null
  /**
   * In a fixed order. The signature; then, plain: presence, kind and size by pathname; then checksums by pathname. Tar: by archive, the
   * largest first, in the order of its members; then its pages; then what is missing. Then the cluster; then WAL.
   */
  readonly problems: readonly Problem[]
  readonly problemCounts: Readonly<Record<ProblemKind, number>>
  readonly warnings: readonly Warning[]
  /** Files whose checksum was compared. */
  readonly filesChecked: number
  /** Their bytes. */
  readonly bytesChecked: number
  readonly pages: CheckedPages
  /** WAL records that were read and are good, of all WAL ranges. */
  readonly walRecords: number
  /** Bytes of WAL that they take. */
  readonly walBytes: number
  /** What computed the checksums, by algorithm: the name of a package, or of several, or `node:crypto`. */
  readonly engines: Readonly<Partial<Record<RealChecksumAlgorithm, string>>>
  /** Wall time of each step, and of all. Steps may overlap. */
  readonly seconds: Readonly<Record<VerifyStep | 'total', number>>
  readonly notChecked: readonly NotChecked[]
}
