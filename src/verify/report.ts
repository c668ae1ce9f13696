import type { RealChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import type { GoodSignature } from '../signature/check-signature.js'
import type { RunFacts } from '../run-facts.js'
import type { BackupFacts } from './backup-facts.js'
import type { ReportedOptions } from './reported-options.js'

/**
 * The kinds of problem that a verification can find. Programs may rely on these words.
 *
 * - `missing`, `extra`, `size-mismatch`, `checksum-mismatch`: the directory is not what the manifest says
 * - `missing-directory`: a directory that a server of the backup's version needs, and that no manifest lists, is not there
 * - `not-a-file`: neither a regular file nor a directory
 * - `unreadable`: the operating system refused to read it, or the command that was to give it failed
 * - `transient-mismatch`: an object of a store had another checksum, and the manifest's when it was read again
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
  'transient-mismatch',
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

/** A number, or a word, that should be there, and the one that is. */
export interface ExpectedAndFound<Value> {
  readonly expected: Value
  readonly found: Value
}

/** What is known of a problem, as values. Each is there where it has a meaning. */
export interface ProblemFacts {
  /** Bytes of the file: as the manifest has it, and as it was found; of a file that is missing, or too many, one of them. */
  readonly size?: Partial<ExpectedAndFound<number>>
  /** Of the file, in lower-case hexadecimal: the manifest's, and that of the bytes that were read. */
  readonly checksum?: ExpectedAndFound<string> & { readonly algorithm: RealChecksumAlgorithm }
  /** A data page, counted from the beginning of its file, the way of `dd skip=`. */
  readonly block?: number
  /** Of this page, in hexadecimal: the one that its bytes give, and the one in its header. */
  readonly pageChecksum?: { readonly calculated: string; readonly stored: string }
  /** How many pages of the file are wrong besides those that have a problem of their own. */
  readonly furtherBlocks?: number
  /** Which they are, as far as they were kept: a hundred of a file, ascending. */
  readonly blocks?: readonly number[]
  /** Of the WAL. */
  readonly timeline?: number
  /** Where in the WAL; of a data page, its own. */
  readonly lsn?: string
  /** The WAL range of the manifest that it is in. */
  readonly range?: { readonly startLsn: string; readonly endLsn: string }
  /** A WAL segment by its name; of several, the first. */
  readonly segment?: string
  readonly lastSegment?: string
  /** Bytes from the beginning of the segment. */
  readonly offset?: number
  /** The archive of a tar backup; of several, the first. */
  readonly archive?: string
  readonly otherArchive?: string
  /** What stands in the archive, by the name that it has there. */
  readonly member?: string
  /** Where a link leads to. */
  readonly target?: string
  readonly systemIdentifier?: ExpectedAndFound<string>
  /** What the operating system said: `EACCES`. */
  readonly errorCode?: string
  /** The file of a signature. */
  readonly signaturePath?: string
  /** By which key it is good, although that may not sign. */
  readonly keyType?: string
  readonly fingerprint?: string
}

/** Something that is wrong with the backup. */
export interface Problem extends ProblemFacts {
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
 * - `changed-later`, `added-later`, `removed-later`: `postgresql.auto.conf`, a signal file
 *   or a file in `pg_wal` is not what the manifest says
 * - `other-manifest`: the backup has a `backup_manifest` that is not the one it was verified against
 * - `directory-of-a-setting`: a directory is not there that a server needs with some settings only
 */
export const warningKinds = [
  'changed-later',
  'added-later',
  'removed-later',
  'other-manifest',
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

/** Something that was not looked at, or does not count, although it could be wrong. */
export interface NotChecked {
  readonly what:
    | 'file-checksums'
    | 'files-without-checksum'
    | 'ignored-paths'
    | 'unseen-files'
    | 'needed-directories'
    | 'empty-directories'
    | 'files-written-later'
    | 'other-wal-files'
    | 'other-manifest'
    | 'reading-again'
    | 'unchanged-files'
    | 'files-left-for-later'
    | 'stored-bytes'
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
  /** Which files or directories, relative to the backup directory, where it is some by name; at most a hundred of them. */
  readonly paths?: readonly string[]
  /** How many they are. */
  readonly count?: number
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

/** Files that were not read, although nobody asked for none to be read. */
export interface SampledFiles {
  /** Those that are unchanged, as the file system says, since they were read and found good; and when the first of them was, UTC. */
  readonly rested: { readonly files: number; readonly bytes: number; readonly readSince: string | null }
  /** Those that were never read, and are left to later runs. */
  readonly left: { readonly files: number; readonly bytes: number }
  /**
   * Those of which an object store keeps the manifest's checksum, when that was asked for; and when the first of them was written there,
   * UTC: `null`, when there are none, or it does not say. What a store has done with the bytes since then, no checksum tells.
   */
  readonly stored?: { readonly files: number; readonly bytes: number; readonly oldest: string | null }
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
 * but for `startedAt`, `endedAt`, `seconds`, `engines` and `options.jobs`.
 *
 * @see schemas/verify-report.schema.json
 */
export interface VerifyReport extends RunFacts {
  readonly reportVersion: 2
  /** The backup directory, as it was given; `-` of an archive that came in alone; the command that gave the backup. */
  readonly directory: string
  /** The same, absolute and without links in it; `null` of what is in no directory. */
  readonly path: string | null
  /** The format it is in, as given or found out. */
  readonly format: 'plain' | 'tar'
  readonly options: ReportedOptions
  readonly backup: BackupFacts
  /**
   * - `failed`: there are problems
   * - `partial`: there are none, but only a part of the backup was there to be seen, or all was ignored; see `notChecked`
   * - `sampled`: there are none, and all was seen, but not all files were read: see `sample`
   * - `verified`: there are none, and all was seen but for what `notChecked` names */
  readonly verdict: 'verified' | 'failed' | 'partial' | 'sampled'
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
  /**
   * Where the checksums come from that were compared with the manifest's:
   *
   * - `files`: from the bytes of the files, which were read
   * - `copying`: from the bytes that were written into the files, when they were written; of the files only those were
   *   read whose checksum was not known or not the manifest's; of archives, those that have such a file
   * - `store`: from what an object store keeps of each file, see `sample.stored`; of the files only those were read of which
   *   it keeps none, or another than the manifest's
   * - `none`: none were compared
   */
  readonly checksumsFrom: 'files' | 'copying' | 'store' | 'none'
  /** Files whose checksum was compared. */
  readonly filesChecked: number
  /** Their bytes. */
  readonly bytesChecked: number
  /** Where evidence of earlier verifications is kept, or a store's checksums were compared: the files that were not read. */
  readonly sample?: SampledFiles | undefined
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
