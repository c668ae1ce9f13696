import { availableParallelism } from 'node:os'
import { PbManifestError } from '../errors.js'
import { type ManifestSource, openManifest, openManifestStream } from '../manifest/read-manifest.js'
import { startRun } from '../run-facts.js'
import { commandPlace, fetchManifest } from '../source/command/command-place.js'
import { demandSignature } from './demand-signature.js'
import { FileTable } from './file-table/file-table.js'
import { IgnoreRules } from './ignore-rules.js'
import type { VerifyOptions } from './options.js'
import type { VerifyReport } from './report.js'
import type { VerificationShare } from './share.js'
import { TarBackup } from './tar/tar-backup.js'
import { verifyFiles } from './verify-files.js'

/** Which backup to verify, and how. */
export interface VerifyFetchedOptions extends Omit<
  VerifyOptions,
  'format' | 'knownChecksums' | 'writtenArchives'
> {
  /**
   * What gives each part of the backup, for a shell, as a `restore_command` is: it writes to its standard output what has the name that
   * stands for `%f`; `%%` is a percent sign.
   */
  readonly fetchCommand: string
  /** So long, in seconds, may it give nothing while something is waited for. Default 300. */
  readonly fetchTimeoutSeconds?: number
}

/**
 * Verifies a backup in tar format wherever it is, as long as there is a command that gives its parts: `backup_manifest`,
 * `base.tar`, the archives of tablespaces and `pg_wal.tar`, several of them at once. Nothing is written anywhere. The archives
 * may be compressed, and are then asked for by names such as `base.tar.gz`, too. WAL is fetched twice.
 *
 * A command that fails, is silent for too long or writes to standard error makes a problem of what it was to give; when that is
 * the manifest, an error.
 *
 * @throws as {@link verifyBackup}
 */
export async function verifyFetchedBackup(options: VerifyFetchedOptions): Promise<VerifyReport> {
  return await verifyShareOfFetchedBackup(undefined, options)
}

/** The same for one share of the backup: see `src/shards`. */
export async function verifyShareOfFetchedBackup(
  share: VerificationShare | undefined,
  options: VerifyFetchedOptions,
): Promise<VerifyReport> {
  const endRun = startRun()
  const { fetchCommand, fetchTimeoutSeconds, jobs = availableParallelism() } = options
  if (options.allowedSigners !== undefined && (options.signaturePath ?? options.manifestPath) === undefined) {
    throw new PbManifestError('USAGE', 'no signature was given', {
      hint: 'A fetch command is not asked for one.',
    })
  }
  const fetching = { command: fetchCommand, timeoutSeconds: fetchTimeoutSeconds }
  const place = commandPlace(fetching)
  const signature = await demandSignature(options)
  const openFetched = async (): Promise<ManifestSource> => {
    const name = 'backup_manifest'
    return await openManifestStream(name, fetchManifest(fetching, name, options.signal), options.signal)
  }
  const { manifestPath, signal } = options
  const opened =
    manifestPath === undefined
      ? await openFetched()
      : await openManifest(manifestPath, { mayBePipe: true, signal })
  const source = signature?.watch(opened) ?? opened
  const backup = new TarBackup({ directory: '-', options, place })
  try {
    return await verifyFiles(backup, {
      directory: fetchCommand,
      path: null,
      fetchCommand,
      endRun,
      options,
      jobs,
      ignore: new IgnoreRules(options.ignore ?? []),
      content: undefined,
      source,
      signature,
      table: FileTable.of(source),
      share,
    })
  } finally {
    await backup.close()
  }
}
