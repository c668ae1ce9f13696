import { displayText, shortenText } from '../../files/display-text.js'
import type { ChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { parseChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { createBackupId } from '../../manifest/fragment/backup-id.js'
import { RefusedError } from '../commands/refused-error.js'
import type { ReplicationCommand } from '../commands/replication-command.js'
import { createBackup, handleOf } from './backup.js'
import { createMembership, type Membership } from './membership.js'
import { refused } from './refused.js'
import type { SessionOptions } from './session-options.js'

type StartBackup = Extract<ReplicationCommand, { command: 'START_BACKUP' }>

/** As the server has it. @see src/include/access/xlogbackup.h, MAXPGPATH */
const MAX_LABEL_BYTES = 1024

/** How much of a word that is none of those known a message repeats, in characters. */
const MAX_SHOWN = 60

/**
 * Starts a backup, which the session then leads.
 *
 * @throws {@link PbManifestError} when it is refused, or the server fails to
 */
export async function startBackup(command: StartBackup, options: SessionOptions): Promise<Membership> {
  const { mode, fragmentDirectory, registry } = options
  if (mode === undefined) throw refused('this session can only join a backup')
  const checksumAlgorithm = checkAlgorithm(command.manifestChecksums)
  checkLabel(command.label)
  const cluster = await mode.facts()
  const start = await mode.start({ label: command.label, fast: command.fast })
  const backup = createBackup({
    id: createBackupId(),
    ...start,
    cluster,
    maxRate: command.maxRate,
    manifest: command.manifest,
    checksumAlgorithm,
    fragmentDirectory,
  })
  try {
    const membership = await createMembership(backup, 0, { mode, end: undefined, isComplete: false })
    registry.add(handleOf(backup))
    return membership
  } catch (error) {
    // The server is in backup mode, and nobody is left to end that.
    await mode.close()
    throw error
  }
}

function checkAlgorithm(name: string | undefined): ChecksumAlgorithm {
  const algorithm = parseChecksumAlgorithm(name ?? 'CRC32C')
  if (algorithm !== undefined) return algorithm
  throw new RefusedError(
    'invalid-value',
    `unrecognized checksum algorithm: "${displayText(shortenText(name ?? '', MAX_SHOWN))}"`,
    'The algorithms are NONE, CRC32C, SHA224, SHA256, SHA384 and SHA512.',
  )
}

/** A line break would let the label pass for further lines of backup_label. */
function checkLabel(label: string): void {
  if (/[\n\r]/.test(label)) throw badLabel('a backup label cannot hold a line break')
  if (!label.isWellFormed()) throw badLabel('a backup label must be valid UTF-8')
  if (Buffer.byteLength(label) > MAX_LABEL_BYTES) {
    throw badLabel(`backup label too long (max ${MAX_LABEL_BYTES} bytes)`)
  }
}

function badLabel(message: string): RefusedError {
  return new RefusedError('invalid-value', message)
}
