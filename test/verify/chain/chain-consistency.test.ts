import { describe, expect, test } from 'vitest'
import type { BackupLabel } from '../../../src/postgres/backup-label.js'
import type { ControlFile } from '../../../src/postgres/control-file.js'
import { findChainFaults } from '../../../src/verify/chain/chain-consistency.js'
import type { ChainProblem } from '../../../src/verify/chain/chain-report.js'
import type { ChainMember } from '../../../src/verify/chain/chain-member.js'

function labelOf(
  startLsn: bigint,
  timeline: number,
  incrementalFrom: BackupLabel['incrementalFrom'],
): BackupLabel {
  return {
    startLsn,
    startSegmentName: '000000010000000000000002',
    startSegmentTimeline: timeline,
    checkpointLsn: startLsn,
    backupMethod: 'streamed',
    backupFrom: 'primary',
    startTime: undefined,
    label: undefined,
    startTimeline: timeline,
    incrementalFrom,
  }
}

/** Only what the rules look at. */
function controlFile(changes: Partial<ControlFile> = {}): ControlFile {
  return {
    systemIdentifier: 5n,
    catalogVersion: 202506291,
    dataChecksumVersion: 1,
    ...changes,
  } as ControlFile
}

const full: ChainMember = {
  directory: 'full',
  manifestPath: 'full/backup_manifest',
  manifestVersion: 2,
  walRanges: [],
  control: controlFile(),
  label: labelOf(0x100n, 1, undefined),
}

const incremental: ChainMember = {
  ...full,
  directory: 'incremental',
  label: labelOf(0x200n, 2, { lsn: 0x100n, timeline: 1 }),
}

const third: ChainMember = {
  ...full,
  directory: 'third',
  label: labelOf(0x300n, 2, { lsn: 0x200n, timeline: 2 }),
}

describe('backups fit each other', () => {
  test.each([
    { what: 'when all say so', members: [full, incremental] },
    {
      what: 'as far as is known, without pg_control',
      members: [full, { ...incremental, control: undefined }],
    },
    {
      what: 'as far as is known, without a first pg_control',
      members: [{ ...full, control: undefined }, incremental],
    },
    {
      what: 'as far as is known, without backup_label',
      members: [{ ...full, label: undefined }, incremental],
    },
    {
      what: 'when data checksums were switched off between them',
      members: [full, { ...incremental, control: controlFile({ dataChecksumVersion: 0 }) }],
    },
    {
      what: 'when data checksums were on for a while',
      members: [
        { ...full, control: controlFile({ dataChecksumVersion: 0 }) },
        incremental,
        { ...third, control: controlFile({ dataChecksumVersion: 0 }) },
      ],
    },
  ])('$what', ({ members }) => {
    expect(findChainFaults(members)).toEqual([])
  })
})

test.each<{ kind: string; changes: Partial<ChainMember>; message: string; facts?: Partial<ChainProblem> }>([
  {
    kind: 'manifest-version',
    changes: { manifestVersion: 1 },
    message: 'backup at "incremental": backup manifest version 1 does not support incremental backup',
  },
  {
    kind: 'cluster',
    changes: { control: controlFile({ systemIdentifier: 6n }) },
    message: 'backup at "incremental": expected system identifier 5, but found 6',
    facts: { systemIdentifier: { expected: '5', found: '6' } },
  },
  {
    kind: 'cluster',
    changes: { control: controlFile({ catalogVersion: 202406281 }) },
    message: 'backup at "incremental": expected catalog version 202506291, but found 202406281',
    facts: { catalogVersion: { expected: 202506291, found: 202406281 } },
  },
  {
    kind: 'predecessor',
    changes: { label: labelOf(0x200n, 2, { lsn: 0x100n, timeline: 2 }) },
    message: 'backup at "full" starts on timeline 1, but expected 2',
    facts: { previousDirectory: 'full', startTimeline: { expected: 2, found: 1 } },
  },
  {
    kind: 'predecessor',
    changes: { label: labelOf(0x200n, 2, { lsn: 0x101n, timeline: 1 }) },
    message: 'backup at "full" starts at LSN 0/100, but expected 0/101',
    facts: { previousDirectory: 'full', startLsn: { expected: '0/101', found: '0/100' } },
  },
  {
    kind: 'order',
    changes: { label: labelOf(0x200n, 2, undefined) },
    message: 'backup at "incremental" is a full backup, but only the first backup should be a full backup',
  },
])('$message', ({ kind, changes, message, facts }) => {
  expect(findChainFaults([full, { ...incremental, ...changes }])).toEqual([
    { kind, directory: 'incremental', message, ...facts },
  ])
})

test.each([
  { what: 'after the full backup', versions: [0, 1, 1] },
  { what: 'before the last backup', versions: [0, 0, 1] },
  { what: 'after they were off for a while', versions: [1, 0, 1] },
])('data checksums that were switched on $what do not fit', ({ versions }) => {
  const members = [full, incremental, third].map((member, index) => ({
    ...member,
    control: controlFile({ dataChecksumVersion: versions[index] ?? 0 }),
  }))
  expect(findChainFaults(members)).toEqual([
    {
      kind: 'data-checksums',
      directory: 'third',
      message: 'backup at "third": only some backups have checksums enabled',
    },
  ])
})
