import type { Readable } from 'node:stream'
import { PbManifestError } from '../errors.js'
import { openManifest } from '../manifest/read-manifest.js'
import { startRun } from '../run-facts.js'
import { demandSignature } from './demand-signature.js'
import { FileTable } from './file-table/file-table.js'
import { IgnoreRules } from './ignore-rules.js'
import type { VerifyOptions } from './options.js'
import type { VerifyReport } from './report.js'
import { TarBackup } from './tar/tar-backup.js'
import { streamPlace } from '../source/tar/archive-place.js'
import { parseArchiveContents, parseArchiveName } from '../source/tar/archive.js'
import { verifyFiles } from './verify-files.js'

/** Which archive to verify, and how. */
export interface VerifyArchiveOptions extends Omit<VerifyOptions, 'format' | 'jobs' | 'manifestPath'> {
  readonly manifestPath: string
  /** Which archive of the backup it is: `base`, the OID of a tablespace, `pg_wal`, or the name of its file. Default `base`. */
  readonly archive?: string
}

/**
 * Verifies one archive of a tar backup while it comes in, for example from an object store: nothing is written anywhere.
 * The compression is found out by the first bytes.
 *
 * When the backup has other archives, the verdict is `partial` at best, and the report's `notChecked` says how many files of
 * the manifest belong to them.
 *
 * @param stream - is destroyed in the end
 * @throws as {@link verifyBackup}
 */
export async function verifyArchiveStream(
  stream: Readable,
  options: VerifyArchiveOptions,
): Promise<VerifyReport> {
  const endRun = startRun()
  const archive = options.archive ?? 'base'
  const contents = parseArchiveContents(archive) ?? parseArchiveName(archive)?.contents
  if (contents === undefined) {
    throw new PbManifestError(
      'USAGE',
      `invalid archive "${archive}", must be "base", "pg_wal", or the OID of a tablespace`,
    )
  }
  const stem = typeof contents === 'string' ? contents : String(contents.tablespaceOid)
  const ignore = new IgnoreRules(options.ignore ?? [])
  const place = streamPlace(`${stem}.tar`, stream)
  const backup = new TarBackup({ directory: '-', options, place, only: contents })
  try {
    const signature = await demandSignature(options)
    const opened = await openManifest(options.manifestPath, { mayBePipe: true, signal: options.signal })
    const source = signature?.watch(opened) ?? opened
    const table = FileTable.of(source)
    return await verifyFiles(backup, {
      directory: '-',
      path: null,
      archive,
      endRun,
      options,
      jobs: 1,
      ignore,
      content: undefined,
      source,
      signature,
      table,
    })
  } finally {
    await backup.close()
    stream.destroy()
  }
}
