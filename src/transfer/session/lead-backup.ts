import { displayText, shortenText } from '../../files/display-text.js'
import { type ChecksumAlgorithm, parseChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { createBackupId } from '../../manifest/fragment/backup-id.js'
import { findLabelFault, formatIncrementalFrom } from '../../postgres/backup-label.js'
import { nearestVersion } from '../../postgres/versions.js'
import type { BackupEnd, BackupMode, ClusterFacts } from '../cluster-files/cluster-files.js'
import { isRate, rateOutOfRange } from '../commands/command-options.js'
import { RefusedError, refused } from '../commands/refused-error.js'
import type { ReplicationCommand, StoppedBackup } from '../commands/replication-command.js'
import { type BackupDescription, createBackup, handleOf, throwIfBackupAborted } from './backup.js'
import { prepareIncremental, requireSummaries } from './incremental/prepare-incremental.js'
import { type PriorBackup, requireIncrementalBackups } from './incremental/prior-backup.js'
import { createMembership, type Membership } from './membership.js'
import type { SessionOptions } from './backup-session.js'
import { BACKUP_LABEL, TABLESPACE_MAP } from '../../postgres/data-directory.js'

type StartBackup = ReplicationCommand<'START_BACKUP'>

/** How much of a word that is none of those known a message repeats, in characters. */
const MAX_SHOWN = 60

/**
 * Starts a backup, which the session then leads.
 *
 * @param prior - what an incremental one builds on
 * @throws {@link PbManifestError} when it is refused, or the server fails to
 */
export async function startBackup(
  command: StartBackup,
  options: SessionOptions,
  { prior, signal }: { readonly prior: PriorBackup | undefined; readonly signal: AbortSignal },
): Promise<Membership> {
  const { mode, files, fragmentDirectory, registry, onNotice } = options
  if (mode === undefined) throw refused('this session can only join a backup')
  const checksumAlgorithm = checkAlgorithm(command)
  const labelFault = findLabelFault(command.label)
  if (labelFault !== undefined) throw badValue(labelFault)
  checkRate(command.maxRate)
  const cluster = await mode.facts()
  const builtOn = command.incremental ? await requirePrior(prior, mode, cluster) : undefined
  const start = await mode.start({ label: command.label, fast: command.fast })
  try {
    const incremental =
      builtOn && (await prepareIncremental(builtOn, start, { mode, files, cluster, onNotice, signal }))
    const backup = createBackup({
      id: createBackupId(),
      ...start,
      cluster,
      maxRate: command.maxRate,
      manifest: command.manifest,
      checksumAlgorithm,
      fragmentDirectory,
      incremental,
    })
    const membership = await createMembership(backup, 0, { mode, end: undefined, isComplete: false })
    registry.add(handleOf(backup))
    return membership
  } catch (error) {
    // The server is in backup mode, and nobody is left to end that. The error is told first: without this connection, workers that
    // are still connecting do not know the server again, and would fail with that.
    mode.abandon().catch(() => {})
    throw error
  }
}

/** All that can be said before the server is in backup mode. */
async function requirePrior(
  prior: PriorBackup | undefined,
  mode: BackupMode,
  cluster: ClusterFacts,
): Promise<PriorBackup> {
  requireIncrementalBackups(cluster)
  if (prior === undefined) {
    throw refused(
      'must UPLOAD_MANIFEST before starting an incremental backup',
      'It is the manifest of the backup that this one is to build on.',
    )
  }
  await requireSummaries(mode)
  return prior
}

function checkAlgorithm({ manifest, manifestChecksums }: StartBackup): ChecksumAlgorithm {
  if (manifest === 'no' && manifestChecksums !== undefined) {
    throw badValue('manifest checksums require a backup manifest')
  }
  const name = manifestChecksums ?? 'CRC32C'
  const algorithm = parseChecksumAlgorithm(name)
  if (algorithm === undefined) {
    const shown = displayText(shortenText(name, MAX_SHOWN))
    throw badValue(
      `unrecognized checksum algorithm: "${shown}"`,
      'The algorithms are NONE, CRC32C, SHA224, SHA256, SHA384 and SHA512.',
    )
  }
  return algorithm
}

/** Of a command that came as text, the parser has seen to this, and knows its place in the text. */
function checkRate(rate: number | undefined): void {
  if (rate === undefined || isRate(rate)) return
  throw badValue(rateOutOfRange(String(rate)))
}

function badValue(message: string, hint?: string): RefusedError {
  return new RefusedError('invalid-value', message, hint)
}

/**
 * Ends backup mode, and records backup_label, which exists from now on; and tablespace_map, where it is asked for: a
 * backup in plain format has none, since it has the links themselves.
 *
 * When the server refuses, the backup is aborted: whether it still runs there, nobody knows.
 *
 * @throws {@link PbManifestError} when it is refused or fails
 */
export async function stopBackup(
  membership: Membership,
  { wait: waitForArchive, tablespaceMap = false }: ReplicationCommand<'STOP_BACKUP'>,
): Promise<StoppedBackup> {
  const { backup, leader, recorder } = membership
  if (leader === undefined) throw refused('only the session that started the backup can stop it')
  beginStop(membership)
  try {
    const end = addIncrementalLines(await leader.mode.stop({ waitForArchive }), backup.description)
    await recorder?.recordBytes(BACKUP_LABEL, end.backupLabel)
    if (tablespaceMap) await recorder?.recordBytes(TABLESPACE_MAP, end.tablespaceMap)
    if (!backup.state.move(['stopping'], 'stopped')) throwIfBackupAborted(backup)
    leader.end = { ...end, checksumFailures: backup.state.checksumFailures }
    leader.isComplete = backup.description.manifest === 'no'
    return leader.end
  } catch (error) {
    backup.state.move(['stopping', 'stopped'], 'aborted')
    throw error
  }
}

/** The server does not know that its backup is an incremental one. */
function addIncrementalLines(end: BackupEnd, { incremental, cluster }: BackupDescription): BackupEnd {
  if (incremental === undefined) return end
  const { lsnDigits } = nearestVersion(cluster.majorVersion)
  const lines = Buffer.from(formatIncrementalFrom(incremental.from, lsnDigits))
  return { ...end, backupLabel: Buffer.concat([end.backupLabel, lines]) }
}

function beginStop({ backup }: Membership): void {
  const { state } = backup
  if (!state.move(['running'], 'stopping')) {
    throwIfBackupAborted(backup)
    throw refused('the backup has been stopped already')
  }
  if (state.sending === 0) return
  state.move(['stopping'], 'running')
  throw refused('the backup cannot be stopped while files are being sent')
}
