import { formatLsn } from '../../postgres/lsn.js'
import type { CommandResults, StoppedBackup } from '../commands/replication-command.js'
import { runCommand, type RunContext } from './run-context.js'
import type { JoinableBackup, OpenedLeader } from './source/source.js'

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
