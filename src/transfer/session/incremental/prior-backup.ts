import { throwIfAborted, Yielder } from '../../../files/yielder.js'
import { ManifestParser } from '../../../manifest/manifest-parser.js'
import type { WalRange } from '../../../manifest/model.js'
import { nearestVersion } from '../../../postgres/versions.js'
import { PriorFiles } from '../../../postgres/wal-summary/incremental-plan.js'
import type { ClusterFacts } from '../../cluster-files/cluster-files.js'
import { RefusedError } from '../../commands/refused-error.js'

/** What has to be known of the backup that an incremental one builds on. */
export interface PriorBackup {
  /** The WAL that it needs. */
  readonly walRanges: readonly WalRange[]
  /** See `PriorFiles`. */
  readonly files: SharedArrayBuffer
}

/**
 * Reads the manifest of the prior backup, which has to be of this cluster. Nothing of it stays in memory but which files of
 * relations there are.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST` or `ABORTED`; `USAGE` when this server or that backup cannot have an
 * incremental one
 * @see src/backend/backup/basebackup_incremental.c (`manifest_process_version`, `manifest_process_system_identifier`)
 */
export async function readPriorManifest(
  chunks: AsyncIterable<Buffer>,
  cluster: ClusterFacts,
  signal: AbortSignal,
): Promise<PriorBackup> {
  requireIncrementalBackups(cluster)
  const files = new PriorFiles()
  const walRanges: WalRange[] = []
  const parser = new ManifestParser({
    file: ({ pathname }) => files.add(pathname),
    walRange: (range) => walRanges.push(range),
  })
  const yielder = new Yielder(signal)
  for await (const chunk of chunks) {
    throwIfAborted(signal)
    parser.write(chunk)
    if (yielder.isDue) await yielder.yield()
  }
  const { version, systemIdentifier } = parser.end()
  const fault = findPriorFault({ version, systemIdentifier }, cluster.systemIdentifier)
  if (fault !== undefined) throw new RefusedError('invalid-value', fault.message, fault.hint)
  return { walRanges, files: files.finish() }
}

/** @throws {@link PbManifestError} `USAGE` when servers of this version know no incremental backups */
export function requireIncrementalBackups({ majorVersion }: ClusterFacts): void {
  if (nearestVersion(majorVersion).hasWalSummaries) return
  throw new RefusedError(
    'wrong-server',
    'server does not support incremental backup',
    'Incremental backups are taken of PostgreSQL 17 and later.',
  )
}

/** What a manifest says before its files. */
interface PriorHeader {
  readonly version: number
  readonly systemIdentifier: bigint | undefined
}

/** Why a backup with this header is none that a backup of this cluster could build on. */
function findPriorFault(
  { version, systemIdentifier }: PriorHeader,
  expected: bigint,
): { readonly message: string; readonly hint: string } | undefined {
  if (version === 1) {
    return {
      message: 'backup manifest version 1 does not support incremental backup',
      hint: 'It is of a server before PostgreSQL 17. Take a full backup.',
    }
  }
  if (systemIdentifier === expected) return undefined
  return {
    message: `system identifier in backup manifest is ${systemIdentifier}, but database system identifier is ${expected}`,
    hint: 'The prior backup has to be of the same cluster.',
  }
}
