import { parseControlFile } from '../postgres/control-file.js'
import { CONTROL_FILE } from '../postgres/data-directory.js'
import { isPbManifestError } from '../errors.js'
import { checkCluster } from '../verify/check-cluster.js'
import type { IgnoreRules } from '../verify/ignore-rules.js'
import type { ManifestContents } from '../verify/manifest-files.js'
import { ProblemList } from '../verify/problems.js'
import type { ReadSmallBackupFile } from '../verify/verify-context.js'
import type { WalSource } from '../verify/wal/wal-source.js'
import { readFirstPageHeader } from '../verify/wal/wal-segment-size.js'
import type { Reason } from './report.js'

/** What a pg_control of the copy is compared with. */
export interface ControlFileEvidence {
  readonly manifest: ManifestContents
  readonly ignore: IgnoreRules
  /** Of the backup, as it would be. */
  readonly readSmallFile: ReadSmallBackupFile
  /** The backup's WAL. */
  readonly wal: WalSource
  /** Whether the copy's manifest is the very one of the backup. */
  readonly isSameBackup: boolean
}

/**
 * Decides whether a pg_control that has the checksum of the manifest is that of the backup. With CRC-32C every valid one has it, since
 * the file holds its own; so it has to fit what else there is: the system identifier, and backup_label and the WAL ranges.
 *
 * @returns why not
 */
export async function acceptControlFile(
  content: Buffer,
  evidence: ControlFileEvidence,
): Promise<Reason | undefined> {
  const { manifest, ignore, readSmallFile } = evidence
  const row = manifest.table.find(CONTROL_FILE)
  if (manifest.table.algorithm(row) !== 'CRC32C') return undefined
  const problems = new ProblemList(undefined, false)
  const read: ReadSmallBackupFile = (pathname, maxBytes) =>
    pathname === CONTROL_FILE ? content : readSmallFile(pathname, maxBytes)
  checkCluster({ readSmallFile: read, manifest, ignore, problems, notChecked: [] })
  for (const { kind, message } of problems) if (kind === 'control-file') return foreign(message)
  // The manifest's has been compared by now.
  if (manifest.summary.systemIdentifier !== undefined) return undefined
  const own = systemIdentifierOf(content)
  const walIdentifier = await findSystemIdentifier(evidence.wal)
  if (walIdentifier !== undefined) {
    if (own === undefined || own === walIdentifier) return undefined
    return foreign(`"${CONTROL_FILE}" has system identifier ${own}, but the WAL has ${walIdentifier}`)
  }
  if (evidence.isSameBackup) return undefined
  return foreign('nothing shows of which cluster it is: its CRC-32C is that of every valid one')
}

function systemIdentifierOf(content: Buffer): bigint | undefined {
  try {
    return parseControlFile(content, CONTROL_FILE).systemIdentifier
  } catch (error) {
    // Of a version that is not known.
    if (!isPbManifestError(error)) throw error
    return undefined
  }
}

/** What the first segment that can be read says. */
async function findSystemIdentifier(wal: WalSource): Promise<bigint | undefined> {
  for (const name of wal.names.toSorted()) {
    const header = await readFirstPageHeader(wal, name)
    if (header?.long !== undefined) return header.long.systemIdentifier
  }
  return undefined
}

function foreign(message: string): Reason {
  return { kind: 'foreign', message: `the copy's is of another backup: ${message}` }
}
