import { displayText, shortenText } from '../../files/display-text.js'
import type { ChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { parseChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { createBackupId } from '../../manifest/fragment/backup-id.js'
import { findLabelFault } from '../../postgres/backup-label.js'
import { isRate, rateOutOfRange } from '../commands/command-options.js'
import { RefusedError } from '../commands/refused-error.js'
import type { ReplicationCommand } from '../commands/replication-command.js'
import { createBackup, handleOf } from './backup.js'
import { createMembership, type Membership } from './membership.js'
import { refused } from '../commands/refused-error.js'
import type { SessionOptions } from './session-options.js'

type StartBackup = ReplicationCommand<'START_BACKUP'>

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
  const checksumAlgorithm = checkAlgorithm(command)
  const labelFault = findLabelFault(command.label)
  if (labelFault !== undefined) throw badValue(labelFault)
  checkRate(command.maxRate)
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
