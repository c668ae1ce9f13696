import { formatLsn } from '../../postgres/lsn.js'
import type { ChainMember } from './chain-member.js'
import type { ChainProblem, ChainProblemKind } from './chain-report.js'

/**
 * What is wrong between the backups of a chain: all that pg_combinebackup refuses, and what it only warns of although
 * the result could not be read.
 *
 * @param members - the full backup first, then each incremental one after the one that it builds on
 * @see src/bin/pg_combinebackup/pg_combinebackup.c (`check_control_files`, `check_backup_label_files`)
 */
export function findChainFaults(members: readonly ChainMember[]): ChainProblem[] {
  const faults = members.flatMap((member, index) => [
    ...findManifestFaults(member),
    ...findOtherCluster(member, members[0]),
    ...findWrongPlace(member, members[index - 1]),
  ])
  return [...faults, ...findPagesWithoutChecksum(members)]
}

function findManifestFaults({ directory, manifestVersion }: ChainMember): ChainProblem[] {
  if (manifestVersion !== 1) return []
  const message = `backup at "${directory}": backup manifest version 1 does not support incremental backup`
  return [{ kind: 'manifest-version', directory, message }]
}

function findOtherCluster(member: ChainMember, first: ChainMember | undefined): ChainProblem[] {
  const { directory, control } = member
  const expected = first?.control
  if (control === undefined || expected === undefined) return []
  if (control.systemIdentifier !== expected.systemIdentifier) {
    const found = `expected system identifier ${expected.systemIdentifier}, but found ${control.systemIdentifier}`
    const systemIdentifier = {
      expected: String(expected.systemIdentifier),
      found: String(control.systemIdentifier),
    }
    return [{ ...problem('cluster', directory, `: ${found}`), systemIdentifier }]
  }
  // An upgraded cluster gets a new identifier, but a copied pg_control may say anything.
  if (control.catalogVersion !== expected.catalogVersion) {
    const found = `expected catalog version ${expected.catalogVersion}, but found ${control.catalogVersion}`
    const catalogVersion = { expected: expected.catalogVersion, found: control.catalogVersion }
    return [{ ...problem('cluster', directory, `: ${found}`), catalogVersion }]
  }
  return []
}

/**
 * The last backup's pg_control becomes that of the result: where it says that pages have checksums, those of the earlier
 * backups have to have them. That checksums were switched off since does no harm.
 */
function findPagesWithoutChecksum(members: readonly ChainMember[]): ChainProblem[] {
  const last = members.at(-1)
  const version = last?.control?.dataChecksumVersion ?? 0
  if (last === undefined || version === 0) return []
  const areOthers = members.some(
    ({ control }) => control !== undefined && control.dataChecksumVersion !== version,
  )
  return areOthers
    ? [problem('data-checksums', last.directory, ': only some backups have checksums enabled')]
    : []
}

function findWrongPlace(member: ChainMember, before: ChainMember | undefined): ChainProblem[] {
  const { directory, label } = member
  if (label === undefined) return []
  const from = label.incrementalFrom
  if (before === undefined) {
    if (from === undefined) return []
    return [
      problem('order', directory, ' is an incremental backup, but the first backup should be a full backup'),
    ]
  }
  if (from === undefined) {
    return [
      problem('order', directory, ' is a full backup, but only the first backup should be a full backup'),
    ]
  }
  if (before.label === undefined) return []
  const { startLsn, startSegmentTimeline } = before.label
  const what = `backup at "${before.directory}"`
  if (startSegmentTimeline !== from.timeline) {
    const message = `${what} starts on timeline ${startSegmentTimeline}, but expected ${from.timeline}`
    const startTimeline = { expected: from.timeline, found: startSegmentTimeline }
    return [{ kind: 'predecessor', directory, message, previousDirectory: before.directory, startTimeline }]
  }
  if (startLsn !== from.lsn) {
    const message = `${what} starts at LSN ${formatLsn(startLsn)}, but expected ${formatLsn(from.lsn)}`
    const found = { expected: formatLsn(from.lsn), found: formatLsn(startLsn) }
    return [{ kind: 'predecessor', directory, message, previousDirectory: before.directory, startLsn: found }]
  }
  return []
}

function problem(kind: ChainProblemKind, directory: string, what: string): ChainProblem {
  return { kind, directory, message: `backup at "${directory}"${what}` }
}
