import { existsSync } from 'node:fs'
import { isPbManifestError, PbManifestError } from '../errors.js'
import { type ManifestSource, openManifest } from '../manifest/read-manifest.js'
import { startRun } from '../run-facts.js'
import { realPath } from '../signature/signature-place.js'
import { demandSignature } from './demand-signature.js'
import { decideContentRules } from './content/decide-content-rules.js'
import { PlainBackup } from './plain/plain-backup.js'
import { FileTable } from './file-table/file-table.js'
import { IgnoreRules } from './ignore-rules.js'
import type { ManifestContents } from './manifest-files.js'
import type { VerifyOptions } from './options.js'
import type { VerifyReport } from './report.js'
import type { ChecksumThread } from './plain/checksum-messages.js'
import type { VerificationShare } from './share.js'
import type { VerificationKeeper } from './plain/evidence.js'
import { verifyFiles } from './verify-files.js'

/** A verification, and what was decided about it. */
export interface VerificationPlan {
  readonly options: VerifyOptions
  readonly jobs: number
  readonly format: VerifyReport['format']
  /** For the first of the threads that read files. */
  readonly prestarted: ChecksumThread | undefined
  readonly keeper: VerificationKeeper | undefined
  readonly share?: VerificationShare | undefined
  /** Is told the manifest when it was read. */
  readonly onManifest?: ((manifest: ManifestContents) => void) | undefined
}

/**
 * Verifies a backup with threads and files opened for it: see `verifyBackup`.
 *
 * @throws {@link PbManifestError} as `verifyBackup`
 */
export async function runVerification(
  directory: string,
  { options, jobs, format, prestarted, keeper, share, onManifest }: VerificationPlan,
): Promise<VerifyReport> {
  const endRun = startRun()
  const signature = await demandSignature(options, directory)
  const ignore = new IgnoreRules(options.ignore ?? [], signature?.pathnames)
  const content = format === 'tar' ? undefined : decideContentRules(directory, options, ignore)
  const opened = await openManifestOf(directory, options)
  const source = signature?.watch(opened) ?? opened
  const table = FileTable.of(source)
  // What only archives need is loaded for them only.
  const backup =
    content === undefined
      ? new (await import('./tar/tar-backup.js')).TarBackup({ directory, options })
      : new PlainBackup({
          directory,
          options,
          jobs,
          content,
          table,
          manifestBytes: source.size,
          prestarted,
          keepsEvidence: keeper !== undefined,
          isShare: share !== undefined,
        })
  try {
    return await verifyFiles(backup, {
      directory,
      path: realPath(directory),
      endRun,
      options,
      jobs,
      ignore,
      content,
      source,
      signature,
      table,
      keeper,
      share,
      onManifest,
    })
  } finally {
    await backup.close()
  }
}

async function openManifestOf(
  directory: string,
  { manifestPath, signal }: VerifyOptions,
): Promise<ManifestSource> {
  try {
    return await openManifest(manifestPath ?? `${directory}/backup_manifest`, {
      mayBePipe: manifestPath !== undefined,
      signal,
    })
  } catch (error) {
    const hint = manifestPath === undefined ? explainMissingManifest(directory) : undefined
    if (hint === undefined || !isPbManifestError(error)) throw error
    throw new PbManifestError(error.code, error.message, { hint, cause: error })
  }
}

/** What is there in place of a manifest as long as a backup is not complete, and by whom. */
const unfinished = new Map([
  ['backup_manifest.tmp', 'pg_basebackup'],
  ['pbmanifest.unfinished', 'pbmanifest backup'],
])

function explainMissingManifest(directory: string): string | undefined {
  if (existsSync(`${directory}/backup_manifest`)) return undefined
  for (const [name, program] of unfinished) {
    if (!existsSync(`${directory}/${name}`)) continue
    return `There is a "${name}": ${program} is still at it, or was ended before the backup was complete. It cannot be restored.`
  }
  return undefined
}
