import { describe, expect, test } from 'vitest'
import type { BackupLabel } from '../../../src/postgres/backup-label.js'
import type { ControlFile } from '../../../src/postgres/control-file.js'
import { findChainFaults } from '../../../src/verify/chain/chain-consistency.js'
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
  ])('$what', ({ members }) => {
    expect(findChainFaults(members)).toEqual([])
  })
})

test.each<{ kind: string; changes: Partial<ChainMember>; message: string }>([
  {
    kind: 'manifest-version',
    changes: { manifestVersion: 1 },
    message: 'backup at "incremental": backup manifest version 1 does not support incremental backup',
  },
  {
    kind: 'cluster',
    changes: { control: controlFile({ systemIdentifier: 6n }) },
    message: 'backup at "incremental": expected system identifier 5, but found 6',
  },
  {
    kind: 'cluster',
    changes: { control: controlFile({ catalogVersion: 202406281 }) },
    message: 'backup at "incremental": expected catalog version 202506291, but found 202406281',
  },
  {
    kind: 'data-checksums',
    changes: { control: controlFile({ dataChecksumVersion: 0 }) },
    message: 'backup at "incremental": only some backups have checksums enabled',
  },
  {
    kind: 'predecessor',
    changes: { label: labelOf(0x200n, 2, { lsn: 0x100n, timeline: 2 }) },
    message: 'backup at "full" starts on timeline 1, but expected 2',
  },
  {
    kind: 'predecessor',
    changes: { label: labelOf(0x200n, 2, { lsn: 0x101n, timeline: 1 }) },
    message: 'backup at "full" starts at LSN 0/100, but expected 0/101',
  },
  {
    kind: 'order',
    changes: { label: labelOf(0x200n, 2, undefined) },
    message: 'backup at "incremental" is a full backup, but only the first backup should be a full backup',
  },
])('$message', ({ kind, changes, message }) => {
  expect(findChainFaults([full, { ...incremental, ...changes }])).toEqual([
    { kind, directory: 'incremental', message },
  ])
})
