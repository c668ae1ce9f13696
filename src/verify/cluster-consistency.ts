import { BACKUP_LABEL, CONTROL_FILE } from '../postgres/data-directory.js'
import type { ManifestHeader, WalRange } from '../manifest/model.js'
import type { BackupLabel } from '../postgres/backup-label.js'
import type { ControlFile } from '../postgres/control-file.js'
import { formatLsn } from '../postgres/lsn.js'
import type { Problem, ProblemFacts, ProblemKind } from './report.js'

/** What the parts of a backup say of the cluster and of the backup. */
export interface ClusterStatements {
  readonly header: ManifestHeader
  /** Newest timeline first. */
  readonly walRanges: readonly WalRange[]
  readonly control: ControlFile | undefined
  readonly label: BackupLabel | undefined
}

/**
 * Compares what manifest, pg_control and backup_label say with each other.
 *
 * The CRC-32C of a valid pg_control is always the same, because the file holds its own; so a manifest of CRC-32C
 * cannot tell one from another, and these rules have to.
 */
export function findContradictions(statements: ClusterStatements): Problem[] {
  return [
    ...compareSystemIdentifier(statements),
    ...compareLabelWithRanges(statements),
    ...compareControlWithLabel(statements),
    ...compareControlWithRanges(statements),
  ]
}

/** @see src/bin/pg_verifybackup/pg_verifybackup.c, verify_control_file */
function compareSystemIdentifier({ header, control }: ClusterStatements): Problem[] {
  if (control === undefined || header.systemIdentifier === undefined) return []
  if (header.systemIdentifier === control.systemIdentifier) return []
  return [
    controlProblem(
      `manifest system identifier is ${header.systemIdentifier}, but control file has ${control.systemIdentifier}`,
      {
        systemIdentifier: {
          expected: String(header.systemIdentifier),
          found: String(control.systemIdentifier),
        },
      },
    ),
  ]
}

function compareLabelWithRanges({ walRanges, label }: ClusterStatements): Problem[] {
  const first = walRanges.at(-1)
  if (label === undefined || first === undefined) return []
  if (first.timeline === label.startSegmentTimeline && first.startLsn === label.startLsn) return []
  return [
    labelProblem(
      `the backup starts at ${formatLsn(label.startLsn)} on timeline ${label.startSegmentTimeline}, ` +
        `but the manifest's WAL starts at ${formatLsn(first.startLsn)} on timeline ${first.timeline}`,
      { timeline: label.startSegmentTimeline, lsn: formatLsn(label.startLsn), range: lsnsOf(first) },
    ),
  ]
}

function compareControlWithLabel({ control, label }: ClusterStatements): Problem[] {
  if (control === undefined || label === undefined) return []
  const problems: Problem[] = []
  // pg_control is copied after the backup's checkpoint was made, so it knows that one or a later one.
  if (control.checkPoint < label.checkpointLsn) {
    problems.push(
      controlProblem(
        `its checkpoint at ${formatLsn(control.checkPoint)} is older than the backup's at ${formatLsn(label.checkpointLsn)}`,
        { lsn: formatLsn(control.checkPoint) },
      ),
    )
  }
  // A server that starts on such a backup stops with the words of the message.
  // @see src/backend/access/transam/xlogrecovery.c, InitWalRecovery
  const isRecovery = control.state === 'in archive recovery' || control.state === 'shut down in recovery'
  if (label.backupFrom === 'standby' && !isRecovery) {
    problems.push(
      labelProblem(
        `backup_label contains data inconsistent with control file: ` +
          `the backup is from a standby, but pg_control says that the cluster is ${control.state}`,
      ),
    )
  }
  return problems
}

function compareControlWithRanges({ control, walRanges }: ClusterStatements): Problem[] {
  const [newest] = walRanges
  if (control === undefined || newest === undefined) return []
  const { timeline } = control.checkPointCopy
  const problems: Problem[] = []
  if (!walRanges.some((range) => range.timeline === timeline)) {
    problems.push(
      controlProblem(
        `its checkpoint is on timeline ${timeline}, which is none of the manifest's WAL ranges`,
        { timeline, lsn: formatLsn(control.checkPoint) },
      ),
    )
  }
  // It is copied before the backup ends.
  if (control.checkPoint >= newest.endLsn) {
    problems.push(
      controlProblem(
        `its checkpoint at ${formatLsn(control.checkPoint)} is not before the backup's end at ${formatLsn(newest.endLsn)}`,
        { timeline: newest.timeline, lsn: formatLsn(control.checkPoint), range: lsnsOf(newest) },
      ),
    )
  }
  return problems
}

function lsnsOf({ startLsn, endLsn }: WalRange): { startLsn: string; endLsn: string } {
  return { startLsn: formatLsn(startLsn), endLsn: formatLsn(endLsn) }
}

function controlProblem(what: string, facts: ProblemFacts): Problem {
  return statementProblem('control-file', CONTROL_FILE, what, facts)
}

function labelProblem(what: string, facts: ProblemFacts = {}): Problem {
  return statementProblem('backup-label', BACKUP_LABEL, what, facts)
}

function statementProblem(kind: ProblemKind, path: string, what: string, facts: ProblemFacts): Problem {
  return { kind, path, message: `"${path}": ${what}`, ...facts }
}
