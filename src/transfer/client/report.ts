import type { Compression } from '../../files/compression/compression.js'
import type { RunFacts } from '../../run-facts.js'
import type { BackupFormat, WalMethod } from './options.js'
import type { Activity } from './worker-counters.js'

/** The steps of a backup, in their order. */
export const backupSteps = ['start', 'list', 'copy', 'stop', 'wal', 'sync', 'manifest'] as const

/** A step of a backup. */
export type BackupStep = (typeof backupSteps)[number]

/**
 * What kept the workers from being faster:
 *
 * - `server`: they waited for the server to read files
 * - `network`: they waited for bytes that the server had ready
 * - `client`: they verified pages, computed checksums, and moved bytes about
 * - `writing`: they created, wrote and synced files
 * - `rate-limit`: `maxRate`
 */
export const bottlenecks = ['server', 'network', 'client', 'writing', 'rate-limit'] as const

/** What the workers of a backup mostly waited for. */
export type Bottleneck = (typeof bottlenecks)[number]

/** What one worker did. */
export interface WorkerReport {
  readonly worker: number
  readonly files: number
  readonly bytes: number
  /** How often it has lost a connection, and made another one. */
  readonly reconnects: number
  readonly seconds: Readonly<Record<Activity, number>>
}

/** A tablespace of the backup. */
export interface BackedUpTablespace {
  readonly oid: number
  /** Where it is on the server. */
  readonly location: string
  /** Where it is here: a directory, an archive, or an address in an object store. */
  readonly directory: string
}

/** An incremental backup, beside what any backup is. */
export interface IncrementalReport {
  /** The manifest of the backup that it builds on, as it was given. */
  readonly manifest: string
  /** Where that backup starts. */
  readonly fromLsn: string
  readonly fromTimeline: number
  /** Files of which only the changed blocks were taken. */
  readonly files: number
  /** Those blocks. */
  readonly blocks: number
  /** By how much the whole files would have been larger: as they were when they were listed. */
  readonly bytesSaved: number
}

/**
 * A backup that was taken, as data.
 *
 * @see schemas/backup-report.schema.json
 */
export interface BackupReport extends RunFacts {
  readonly reportVersion: 2
  /** As it was given. */
  readonly directory: string
  readonly format: BackupFormat
  /** Of archives. */
  readonly compression: Compression
  /** The same, absolute and without links in it. */
  readonly path: string
  readonly backupId: string
  /** Decimal, as a string because it exceeds 2^53. */
  readonly systemIdentifier: string
  readonly serverMajorVersion: number
  /** Whether the server was a standby. */
  readonly fromStandby: boolean
  readonly startLsn: string
  readonly startTimeline: number
  readonly endLsn: string
  readonly endTimeline: number
  readonly tablespaces: readonly BackedUpTablespace[]
  /** Files that were copied, without WAL. */
  readonly files: number
  /** Their bytes. */
  readonly bytes: number
  /** Files that the server removed before they could be read. */
  readonly filesVanished: number
  /** What an incremental backup builds on, and how much it spared; `null` for a full one. */
  readonly incremental: IncrementalReport | null
  readonly wal: {
    readonly method: WalMethod
    readonly bytes: number
  }
  /** `null` without a manifest. */
  readonly manifest: { readonly path: string; readonly bytes: number } | null
  /** How many workers were asked for. */
  readonly jobs: number
  /** Those that there were: fewer when the others would have found nothing left to do. */
  readonly workers: readonly WorkerReport[]
  readonly bottleneck: Bottleneck
  /** The shares of the workers' time, without the time in which there was nothing left to do; together 1, or all 0. */
  readonly shares: Readonly<Record<Bottleneck, number>>
  /** Wall time of each step, and of all. */
  readonly seconds: Readonly<Record<BackupStep | 'total', number>>
}
