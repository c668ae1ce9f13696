import { formatLsn } from '../../postgres/lsn.js'
import type { CommandResults, StoppedBackup } from '../commands/replication-command.js'
import { runCommand, type RunContext } from './run-context.js'
import type { JoinableBackup, OpenedLeader } from './source/source.js'
import { PbManifestError } from '../../errors.js'
import { displayPathname } from '../../files/pathname.js'
import { openManifest, scanManifest } from '../../manifest/read-manifest.js'
import { nearestVersion } from '../../postgres/versions.js'
import type { ClusterFacts } from '../cluster-files/cluster-files.js'
import type { BackupSession } from '../session/backup-session.js'
import type { FirstFailure } from './first-failure.js'

/** As pg_basebackup says `pg_basebackup base backup`, and not what a server says of a backup without a label. */
export const LABEL_OF_PBMANIFEST = 'pbmanifest base backup'

/** A backup that runs, and what workers need to take part. */
export type StartedBackup = CommandResults['START_BACKUP'] & { readonly joinable: JoinableBackup }

export async function startBackup(
  { options, failure }: RunContext,
  leader: OpenedLeader,
): Promise<StartedBackup> {
  options.onStep?.('initiating base backup, waiting for checkpoint to complete')
  options.onCheckpoint?.()
  const start = await runCommand(leader.session, failure, {
    command: 'START_BACKUP',
    label: options.label ?? LABEL_OF_PBMANIFEST,
    fast: options.checkpoint === 'fast',
    maxRate: options.maxRate,
    manifest: options.manifest ?? 'yes',
    manifestChecksums: options.manifestChecksums,
    incremental: options.incremental !== undefined,
  })
  const { startLsn, startTimeline, backupId } = start
  options.onStep?.('checkpoint completed')
  options.onStep?.(`write-ahead log start point: ${formatLsn(startLsn)} on timeline ${startTimeline}`)
  return { ...start, joinable: leader.joinableBackup(backupId) }
}

export async function stopBackup(
  { options, failure }: RunContext,
  { session }: OpenedLeader,
  { tablespaceMap }: { readonly tablespaceMap: boolean },
): Promise<StoppedBackup> {
  // As pg_basebackup: a backup that has its WAL does not depend on the archive.
  const wait = options.walMethod === 'none'
  const command = { command: 'STOP_BACKUP', wait, ...(tablespaceMap && { tablespaceMap }) } as const
  const end = await runCommand(session, failure, command)
  options.onStep?.(`write-ahead log end point: ${formatLsn(end.endLsn)}`)
  return end
}

/** The manifest of the backup that an incremental one is to build on, which was read and found good. */
interface PriorManifest {
  readonly path: string
  readonly systemIdentifier: bigint | undefined
}

/**
 * Reads the manifest before anything else is done.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST`, also of a version that incremental backups cannot build on; `IO`, `ABORTED`
 */
export async function readPriorManifest(path: string, signal: AbortSignal): Promise<PriorManifest> {
  const handler = { file: () => {}, walRange: () => {} }
  const { version, systemIdentifier } = await scanManifest(await openManifest(path, { signal }), handler, {
    signal,
  })
  if (version !== 1) return { path, systemIdentifier }
  throw new PbManifestError(
    'BAD_MANIFEST',
    `backup manifest version 1 does not support incremental backup (in "${displayPathname(path)}")`,
    { hint: 'It is of a server before PostgreSQL 17. Take a full backup.' },
  )
}

/**
 * Hands it to the session, when the cluster is the right one.
 *
 * @throws {@link PbManifestError} `SERVER` when the server cannot; `USAGE` when the prior backup is another cluster's; and what
 * the session throws
 */
export async function uploadPriorManifest(
  session: BackupSession,
  failure: FirstFailure,
  { path, systemIdentifier }: PriorManifest,
  facts: ClusterFacts,
): Promise<void> {
  if (!nearestVersion(facts.majorVersion).hasWalSummaries) {
    throw new PbManifestError('SERVER', 'server does not support incremental backup', {
      hint: `It is of version ${facts.majorVersion}; incremental backups are taken of PostgreSQL 17 and later.`,
    })
  }
  if (systemIdentifier !== facts.systemIdentifier) {
    throw new PbManifestError(
      'USAGE',
      `system identifier in backup manifest is ${systemIdentifier}, but database system identifier is ${facts.systemIdentifier}`,
      { hint: `The backup of "${displayPathname(path)}" is of another cluster.` },
    )
  }
  const { chunks } = await openManifest(path, { signal: failure.signal })
  await runCommand(session, failure, { command: 'UPLOAD_MANIFEST', manifest: oneByOne(chunks()) })
}

async function* oneByOne(chunks: Iterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  yield* chunks
}
