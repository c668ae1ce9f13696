import { availableParallelism } from 'node:os'
import { PbManifestError } from '../errors.js'
import { openManifest } from '../manifest/read-manifest.js'
import { detectBackupFormat } from './detect-backup-format.js'
import { decideContentRules } from './content/decide-content-rules.js'
import { DirectoryFiles } from './directory-files.js'
import { FileTable } from './file-table/file-table.js'
import { IgnoreRules } from './ignore-rules.js'
import type { VerifyOptions } from './options.js'
import type { VerifyReport } from './report.js'
import { ArchiveFiles } from './tar/archive-files.js'
import { verifyFiles } from './verify-files.js'

/**
 * Verifies a backup against its manifest, in parallel, and reports all that is wrong with it. The backup is a directory,
 * in plain or in tar format.
 *
 * Never writes into the directory. Finds everything that `pg_verifybackup` finds, for manifests of every major version.
 *
 * @returns the report, also of a backup that has problems: look at `verdict`
 * @throws {@link PbManifestError} when there can be no report: `BAD_MANIFEST`, `IO`, `USAGE` or `ABORTED`
 * @example
 * ```ts
 * import { verifyBackup } from 'pbmanifest'
 *
 * const report = await verifyBackup('/backups/monday', { jobs: 4 })
 * for (const problem of report.problems) console.log(problem.kind, problem.message)
 * if (report.verdict === 'failed') throw new Error('the backup cannot be trusted')
 * ```
 */
export async function verifyBackup(directory: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const jobs = options.jobs ?? availableParallelism()
  if (!Number.isSafeInteger(jobs) || jobs < 1)
    throw new PbManifestError('USAGE', 'jobs must be a whole number from 1')
  const ignore = new IgnoreRules(options.ignore ?? [])
  const isTar = (options.format ?? detectBackupFormat(directory)) === 'tar'
  const content = isTar ? undefined : decideContentRules(directory, options, ignore)
  const source = openManifest(options.manifestPath ?? `${directory}/backup_manifest`)
  const manifestBytes = source.file.stats.size
  const table = new FileTable(manifestBytes)
  const files =
    content === undefined
      ? new ArchiveFiles({ directory, options, jobs })
      : new DirectoryFiles({ directory, options, jobs, content, table, manifestBytes })
  try {
    return await verifyFiles(files, { directory, options, ignore, content, source, table })
  } finally {
    await files.close()
  }
}
