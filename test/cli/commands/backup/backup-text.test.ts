import { expect, test } from 'vitest'
import {
  formatBackupProgress,
  formatBackupSummary,
  formatBottleneck,
  formatChanges,
  formatWorkers,
} from '../../../../cli/commands/backup/backup-text.js'
import type { BackupReport } from '../../../../src/transfer/client/report.js'

const report: BackupReport = {
  reportVersion: 2,
  pbmanifestVersion: '0.0.0',
  host: 'db1',
  startedAt: '2026-11-22T21:36:05.123Z',
  endedAt: '2026-11-22T21:36:06.373Z',
  directory: '/backup',
  format: 'plain',
  compression: 'none',
  path: '/backup',
  backupId: '0123456789abcdef0123456789abcdef',
  systemIdentifier: '7711113546893945671',
  serverMajorVersion: 15,
  fromStandby: false,
  startLsn: '0/2000028',
  startTimeline: 1,
  endLsn: '0/2000100',
  endTimeline: 1,
  tablespaces: [],
  files: 970,
  bytes: 50 * 1024 * 1024,
  filesVanished: 0,
  incremental: null,
  wal: { method: 'stream', bytes: 216 },
  manifest: null,
  jobs: 4,
  workers: [
    {
      worker: 0,
      files: 970,
      bytes: 50 * 1024 * 1024,
      reconnects: 0,
      seconds: { waiting: 0.1, throttled: 0, processing: 0.2, writing: 0.25, syncing: 0.5, idle: 0 },
    },
  ],
  bottleneck: 'writing',
  shares: { server: 0.04, network: 0.001, client: 0.209, writing: 0.75, 'rate-limit': 0 },
  seconds: { start: 0.1, list: 0.1, copy: 0.5, stop: 0, wal: 0, sync: 0.5, manifest: 0, total: 1.25 },
}

test('the summary has the rate of the copying, and the workers that there were', () => {
  expect(formatBackupSummary(report)).toBe('970 files, 50.0 MB in 1.25 s (copied at 100.0 MB/s) by 1 worker')
  expect(formatBackupSummary({ ...report, bytes: 0, seconds: { ...report.seconds, copy: 0 } })).toBe(
    '970 files, 0 bytes in 1.25 s by 1 worker',
  )
})

test('the bottleneck comes first, then what else took time, the longest first', () => {
  expect(formatBottleneck(report)).toBe(
    'bottleneck: writing (75% of the time; our own computing 21%, the server 4%)',
  )
})

test('an incremental backup says what it spared', () => {
  expect(formatChanges(report)).toEqual([])
  const incremental = {
    manifest: '/before/backup_manifest',
    fromLsn: '0/2000028',
    fromTimeline: 1,
    files: 900,
    blocks: 1,
    bytesSaved: 3 * 1024 * 1024,
  }
  expect(formatChanges({ ...report, incremental })).toEqual([
    'incremental from 0/2000028 on timeline 1: 900 files by their changes, 1 block, 3.0 MB saved',
  ])
})

test('each worker has a line', () => {
  expect(formatWorkers(report)).toEqual([
    'worker 0: 970 files, 50.0 MB; waiting 0.10 s, throttled 0.00 s, processing 0.20 s, writing 0.25 s, syncing 0.50 s, idle 0.00 s',
  ])
})

test.each([
  [123 * 1024, 456 * 1024, 0, 1, '123/456 kB (26%), 0/1 tablespace'],
  [7 * 1024, 45_678 * 1024, 1, 3, '    7/45678 kB (0%), 1/3 tablespaces'],
  [0, 0, 1, 1, '0/0 kB (0%), 1/1 tablespace'],
])(
  'progress of %d of %d bytes, %d of %d tablespaces',
  (bytesDone, bytesTotal, tablespacesDone, tablespacesTotal, line) => {
    const progress = {
      bytesDone,
      bytesTotal,
      tablespacesDone,
      tablespacesTotal,
      file: '/backups/1/base/5/1259',
    }
    expect(formatBackupProgress(progress, false)).toBe(line)
  },
)

// Lines of pg_basebackup 18.6 -P -v.
test.each([
  [
    '/tmp/bk/global/pg_control',
    '319936/319936 kB (100%), 1/2 tablespaces (/tmp/bk/global/pg_control          )',
  ],
  [
    '/tmp/backup/of/today/base/5/16385/',
    '319936/319936 kB (100%), 1/2 tablespaces (/tmp/backup/of/today/base/5/16385/ )',
  ],
  [
    '/tmp/backup/of/today/base/5/16385/x',
    '319936/319936 kB (100%), 1/2 tablespaces (/tmp/backup/of/today/base/5/16385/x)',
  ],
  [
    '/tmp/pgt/bkts/PG_18_202506291/5/16393',
    '319936/319936 kB (100%), 1/2 tablespaces (...pgt/bkts/PG_18_202506291/5/16393)',
  ],
  [undefined, `319936/319936 kB (100%), 1/2 tablespaces ${' '.repeat(40)}`],
])('progress with --verbose names the file %s', (file, line) => {
  const bytes = 319_936 * 1024
  const progress = { bytesDone: bytes, bytesTotal: bytes, tablespacesDone: 1, tablespacesTotal: 2, file }
  expect(formatBackupProgress(progress, true)).toBe(line)
})
