import { PbManifestError } from '../../errors.js'
import type { Pathname } from '../../files/pathname.js'
import { CleanUp } from './clean-up.js'
import { FirstFailure } from './first-failure.js'
import { type BackupOptions, MAX_JOBS } from './options.js'
import type { BackupReport } from './report.js'
import { runBackup } from './run-backup.js'

const DEFAULT_JOBS = 4

/** What came of a backup. */
export interface TakenBackup {
  readonly report: BackupReport
  /** The checksums that were computed while the files were written, by pathname. Empty without a manifest. */
  readonly checksums: ReadonlyMap<Pathname, string>
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
  const jobs = options.jobs ?? DEFAULT_JOBS
  if (!Number.isSafeInteger(jobs) || jobs < 1 || jobs > MAX_JOBS) {
    throw new PbManifestError('USAGE', `jobs must be a whole number from 1 to ${MAX_JOBS}`)
  }
  const failure = new FirstFailure(options.signal)
  const cleanUp = new CleanUp(options.cleanUp === false)
  try {
    return await runBackup({ options: { ...options, jobs }, failure, cleanUp })
  } catch (error) {
    failure.report(error)
    await cleanUp.run()
    throw failure.error
  } finally {
    failure.close()
  }
}
