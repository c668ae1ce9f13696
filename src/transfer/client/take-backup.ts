import { PbManifestError } from '../../errors.js'
import type { Pathname } from '../../files/pathname.js'
import type { WrittenArchives } from '../../manifest/contents/written-archives.js'
import { CleanUp } from './run-context.js'
import { FirstFailure } from './first-failure.js'
import { type BackupOptions, DEFAULT_JOBS, MAX_JOBS, MAX_RETRIES } from './options.js'
import type { BackupReport } from './report.js'
import { PrestartedWorkers } from './prestarted-workers.js'

/** What came of a backup. */
export interface TakenBackup {
  readonly report: BackupReport
  /** The checksums that were computed while the files were written, by pathname. Empty without a manifest. */
  readonly checksums: ReadonlyMap<Pathname, string>
  /** What archives were given meanwhile; `undefined` where there are none, or they have the WAL, too. */
  readonly archives: WrittenArchives | undefined
}

/**
 * Takes a base backup of a running server, in parallel, over nothing but database connections.
 *
 * The directory becomes what `pg_basebackup` would have made of it. When this fails, everyone at work is told to stop and
 * waited for; then what was made is removed, the server is out of backup mode, and a temporary slot is gone. The first
 * failure is the one that is thrown. A `backup_manifest` in the directory means that the backup is complete.
 *
 * @throws {@link PbManifestError} `SERVER`, `IO`, `USAGE` or `ABORTED`
 * @example
 * ```ts
 * import { readConnectionEnvironment, resolveConnection, takeBackup } from 'pbmanifest'
 *
 * const environment = readConnectionEnvironment(process.env)
 * const { options: connection } = resolveConnection({ conninfo: 'host=db1 user=backup' }, environment)
 * const { report } = await takeBackup({ directory: '/backups/tuesday', connection, jobs: 8 })
 * console.log(report.files, report.bytes, report.bottleneck)
 * ```
 */
export async function takeBackup(options: BackupOptions): Promise<TakenBackup> {
  const jobs = jobsOf(options)
  const workers = new PrestartedWorkers(jobs, options.agent === undefined ? 'sql' : 'agent')
  try {
    return await takeBackupWith(workers, options)
  } finally {
    await workers.close()
  }
}

/**
 * The same, with threads that were started before all options were known.
 *
 * @throws {@link PbManifestError} as {@link takeBackup}
 */
export async function takeBackupWith(
  workers: PrestartedWorkers,
  options: BackupOptions,
): Promise<TakenBackup> {
  const jobs = jobsOf(options)
  requireRetries(options)
  // Only now, so that the threads load what they need at the same time.
  const { runBackup } = await import('./run-backup.js')
  const failure = new FirstFailure(options.signal)
  const cleanUp = new CleanUp(options.cleanUp === false)
  try {
    return await runBackup({ options: { ...options, jobs }, workers, failure, cleanUp })
  } catch (error) {
    failure.report(error)
    await cleanUp.run()
    throw failure.error
  } finally {
    failure.close()
  }
}

function requireRetries({ retries = 0 }: BackupOptions): void {
  if (Number.isSafeInteger(retries) && retries >= 0 && retries <= MAX_RETRIES) return
  throw new PbManifestError('USAGE', `retries must be a whole number from 0 to ${MAX_RETRIES}`)
}

function jobsOf({ jobs = DEFAULT_JOBS }: BackupOptions): number {
  if (Number.isSafeInteger(jobs) && jobs >= 1 && jobs <= MAX_JOBS) return jobs
  throw new PbManifestError('USAGE', `jobs must be a whole number from 1 to ${MAX_JOBS}`)
}
