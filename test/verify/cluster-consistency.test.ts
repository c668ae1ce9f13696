import { expect, test } from 'vitest'
import type { WalRange } from '../../src/manifest/model.js'
import type { BackupLabel } from '../../src/postgres/backup-label.js'
import type { ControlFile } from '../../src/postgres/control-file.js'
import type { ProblemFacts } from '../../src/verify/report.js'
import { type ClusterStatements, findContradictions } from '../../src/verify/cluster-consistency.js'

const range: WalRange = { timeline: 1, startLsn: 0x2000028n, endLsn: 0x2000100n }
const header = { version: 2, systemIdentifier: 7711113546893945671n } as const

const label: BackupLabel = {
  startLsn: range.startLsn,
  startSegmentName: '000000010000000000000002',
  startSegmentTimeline: 1,
  checkpointLsn: 0x2000060n,
  backupMethod: 'streamed',
  backupFrom: 'primary',
  startTime: undefined,
  label: undefined,
  startTimeline: 1,
  incrementalFrom: undefined,
}

type Control = Pick<ControlFile, 'systemIdentifier' | 'state' | 'checkPoint'> & { readonly timeline?: number }

/** Only what the rules look at. */
function controlFile(changes: Partial<Control> = {}): ControlFile {
  const { timeline = 1, ...rest } = changes
  return {
    systemIdentifier: header.systemIdentifier,
    state: 'in production',
    checkPoint: 0x2000060n,
    checkPointCopy: { timeline },
    ...rest,
  } as ControlFile
}

const good: ClusterStatements = { header, walRanges: [range], control: controlFile(), label }
const newer: WalRange = { timeline: 2, startLsn: range.endLsn, endLsn: 0x2000800n }
const fromStandby: BackupLabel = { ...label, backupFrom: 'standby' }

test.each<{ name: string; statements: ClusterStatements }>([
  { name: 'all say the same', statements: good },
  {
    name: 'the manifest names no system',
    statements: { ...good, header: { version: 1, systemIdentifier: undefined } },
  },
  { name: 'there is no pg_control', statements: { ...good, control: undefined } },
  { name: 'there is no backup_label', statements: { ...good, label: undefined } },
  { name: 'the manifest has no WAL range', statements: { ...good, walRanges: [] } },
  {
    name: 'pg_control knows a later checkpoint',
    statements: { ...good, control: controlFile({ checkPoint: 0x20000c0n }) },
  },
  {
    name: 'the backup is of a standby in recovery',
    statements: { ...good, label: fromStandby, control: controlFile({ state: 'in archive recovery' }) },
  },
  {
    name: 'the backup is of a standby that was shut down',
    statements: { ...good, label: fromStandby, control: controlFile({ state: 'shut down in recovery' }) },
  },
  {
    name: 'the timeline changed during the backup, before the checkpoint in pg_control',
    statements: {
      ...good,
      walRanges: [newer, range],
      control: controlFile({ timeline: 2, checkPoint: 0x2000200n }),
    },
  },
  {
    name: 'the timeline changed during the backup, after the checkpoint in pg_control',
    statements: { ...good, walRanges: [newer, range] },
  },
])('there is no contradiction when $name', ({ statements }) => {
  expect(findContradictions(statements)).toEqual([])
})

interface Contradiction {
  readonly name: string
  readonly changes: Partial<ClusterStatements>
  readonly path: 'global/pg_control' | 'backup_label'
  readonly message: string
  readonly facts?: ProblemFacts
}

test.each<Contradiction>([
  {
    name: 'another system identifier',
    changes: { control: controlFile({ systemIdentifier: 1n }) },
    path: 'global/pg_control',
    message: 'manifest system identifier is 7711113546893945671, but control file has 1',
    facts: { systemIdentifier: { expected: '7711113546893945671', found: '1' } },
  },
  {
    name: 'another start',
    changes: { label: { ...label, startLsn: 0x2000060n } },
    path: 'backup_label',
    message:
      "the backup starts at 0/2000060 on timeline 1, but the manifest's WAL starts at 0/2000028 on timeline 1",
    facts: { timeline: 1, lsn: '0/2000060', range: { startLsn: '0/2000028', endLsn: '0/2000100' } },
  },
  {
    name: 'another timeline of the start',
    changes: { label: { ...label, startSegmentTimeline: 3 } },
    path: 'backup_label',
    message:
      "the backup starts at 0/2000028 on timeline 3, but the manifest's WAL starts at 0/2000028 on timeline 1",
    facts: { timeline: 3, lsn: '0/2000028', range: { startLsn: '0/2000028', endLsn: '0/2000100' } },
  },
  {
    name: 'a checkpoint from before the backup',
    changes: { control: controlFile({ checkPoint: 0x2000059n }) },
    path: 'global/pg_control',
    message: "its checkpoint at 0/2000059 is older than the backup's at 0/2000060",
    facts: { lsn: '0/2000059' },
  },
  {
    name: 'a standby that was not in recovery',
    changes: { label: fromStandby },
    path: 'backup_label',
    message:
      'backup_label contains data inconsistent with control file: the backup is from a standby, but pg_control says that the cluster is in production',
  },
  {
    name: 'a checkpoint on another timeline',
    changes: { control: controlFile({ timeline: 2 }) },
    path: 'global/pg_control',
    message: "its checkpoint is on timeline 2, which is none of the manifest's WAL ranges",
    facts: { timeline: 2, lsn: '0/2000060' },
  },
  {
    name: 'a checkpoint where the backup has ended',
    changes: { control: controlFile({ checkPoint: range.endLsn }) },
    path: 'global/pg_control',
    message: "its checkpoint at 0/2000100 is not before the backup's end at 0/2000100",
    facts: { timeline: 1, lsn: '0/2000100', range: { startLsn: '0/2000028', endLsn: '0/2000100' } },
  },
])('$name is a contradiction', ({ changes, path, message, facts }) => {
  const kind = path === 'backup_label' ? 'backup-label' : 'control-file'
  expect(findContradictions({ ...good, ...changes })).toEqual([
    { kind, path, message: `"${path}": ${message}`, ...facts },
  ])
})

test('every contradiction is told, system first', () => {
  const control = controlFile({ systemIdentifier: 1n, timeline: 9, checkPoint: 0x3000000n })
  const problems = findContradictions({ ...good, control, label: { ...label, startLsn: 0n } })
  expect(problems.map(({ kind }) => kind)).toEqual([
    'control-file',
    'backup-label',
    'control-file',
    'control-file',
  ])
})
