import { availableParallelism } from 'node:os'
import { PbManifestError } from '../errors.js'
import { type ChecksumThread, checksumThread } from './plain/checksum-messages.js'
import type { VerificationKeeper } from './plain/evidence.js'
import type { VerificationShare } from './share.js'
import { detectBackupFormat } from './detect-backup-format.js'
import type { ManifestContents } from './manifest-files.js'
import type { VerifyOptions } from './options.js'
import type { VerifyReport } from './report.js'
import { PrestartedThread } from '../threads/prestarted-thread.js'

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
 * if (report.verdict !== 'verified') throw new Error('the backup cannot be trusted')
 * ```
 */
export async function verifyBackup(directory: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  return await verifyBackupFor({}, directory, options)
}

/** The same for somebody who keeps what is found: see `src/state`. */
export async function verifyBackupAndKeep(
  keeper: VerificationKeeper,
  directory: string,
  options: VerifyOptions,
): Promise<VerifyReport> {
  return await verifyBackupFor({ keeper }, directory, options)
}

/** The same for one share of the backup: see `src/shards`. */
export async function verifyShareOfBackup(
  share: VerificationShare,
  directory: string,
  options: VerifyOptions,
): Promise<VerifyReport> {
  return await verifyBackupFor({ share }, directory, options)
}

/** The same for somebody who goes on to work with the manifest, and need not read it again. */
export async function verifyBackupAndLend(
  onManifest: (manifest: ManifestContents) => void,
  directory: string,
  options: VerifyOptions,
): Promise<VerifyReport> {
  return await verifyBackupFor({ onManifest }, directory, options)
}

/** For whom a backup is verified otherwise than for its own sake. */
interface Purpose {
  readonly keeper?: VerificationKeeper
  readonly share?: VerificationShare
  readonly onManifest?: (manifest: ManifestContents) => void
}

async function verifyBackupFor(
  { keeper, share, onManifest }: Purpose,
  directory: string,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const jobs = options.jobs ?? availableParallelism()
  if (!Number.isSafeInteger(jobs) || jobs < 1)
    throw new PbManifestError('USAGE', 'jobs must be a whole number from 1')
  const format = options.format ?? detectBackupFormat(directory)
  const readsFiles = options.skipChecksums !== true && options.knownChecksums === undefined
  const prestarted: ChecksumThread | undefined =
    format === 'plain' && readsFiles ? new PrestartedThread(checksumThread) : undefined
  try {
    // Only now, so that the thread loads what it needs at the same time.
    const { runVerification } = await import('./run-verification.js')
    return await runVerification(directory, { options, jobs, format, prestarted, keeper, share, onManifest })
  } finally {
    await prestarted?.close()
  }
}
