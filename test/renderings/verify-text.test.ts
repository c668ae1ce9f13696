import { expect, test } from 'vitest'
import { formatProblemCounts, formatSummary, listHints } from '../../src/renderings/verify-text.js'
import type { ProblemKind, VerifyReport } from '../../src/verify/report.js'

const none: Record<ProblemKind, number> = {
  missing: 0,
  extra: 0,
  'missing-directory': 0,
  'not-a-file': 0,
  'size-mismatch': 0,
  unreadable: 0,
  'changed-while-read': 0,
  'checksum-mismatch': 0,
  'transient-mismatch': 0,
  'page-checksum': 0,
  'partial-page': 0,
  'incremental-file': 0,
  duplicate: 0,
  'bad-archive': 0,
  'control-file': 0,
  'backup-label': 0,
  'tablespace-map': 0,
  'wal-range': 0,
  'wal-missing': 0,
  'wal-invalid': 0,
  'signature-missing': 0,
  'signature-invalid': 0,
  'signer-not-allowed': 0,
}

const report: VerifyReport = {
  reportVersion: 2,
  pbmanifestVersion: '0.0.0',
  host: 'db1',
  startedAt: '2026-11-22T21:36:05.123Z',
  endedAt: '2026-11-22T21:36:05.336Z',
  directory: 'backup',
  path: '/backups/backup',
  format: 'plain',
  verdict: 'verified',
  options: {
    jobs: 2,
    ignore: [],
    exitOnError: false,
    skipChecksums: false,
    pageChecksums: 'auto',
    noParseWal: false,
    partialWal: false,
  },
  backup: {
    label: 'nightly',
    startTime: '2026-11-22 20:00:00 UTC',
    startTimeUtc: '2026-11-22T20:00:00Z',
    takenFrom: 'primary',
    startLsn: '0/2000028',
    startTimeline: 1,
    incrementalFrom: null,
    serverMajorVersion: 18,
    systemIdentifier: '7711113546893945671',
  },
  manifest: {
    path: 'backup/backup_manifest',
    version: 1,
    systemIdentifier: null,
    files: 970,
    bytes: 25_270_000,
    walRanges: [],
    checksum: '',
  },
  problems: [],
  problemCounts: none,
  checksumsFrom: 'files',
  filesChecked: 970,
  bytesChecked: 25_270_000,
  pages: { checked: 0, mismatched: 0, newer: 0, replayed: 0 },
  walRecords: 0,
  walBytes: 0,
  engines: { CRC32C: '@node-rs/crc32' },
  seconds: { manifest: 0.1, scan: 0.1, checksums: 0.1, cluster: 0, wal: 0, total: 0.2134 },
  notChecked: [],
  warnings: [],
}

test('the summary says how much was checked', () => {
  expect(formatSummary(report)).toBe('970 files, 24.1 MB checked in 0.21 s')
  expect(formatSummary({ ...report, checksumsFrom: 'copying' })).toBe(
    '970 files, 24.1 MB checked in 0.21 s by checksums computed while copying',
  )
})

test('the summary says how many pages were checked', () => {
  const pages = { checked: 2805, mismatched: 1, newer: 1, replayed: 0 }
  expect(formatSummary({ ...report, pages })).toBe('970 files, 24.1 MB, 2805 pages checked in 0.21 s')
})

test('the summary says when that is not all', () => {
  expect(formatSummary({ ...report, filesChecked: 0, bytesChecked: 0 })).toBe(
    '0 of 970 files, 0 bytes checked in 0.21 s',
  )
})

test('the summary says what was not checked, each thing once', () => {
  const notChecked = [
    { what: 'wal-records', why: 'x' },
    { what: 'ignored-paths', why: 'a' },
    { what: 'ignored-paths', why: 'b' },
  ] as const
  expect(formatSummary({ ...report, notChecked })).toBe(
    '970 files, 24.1 MB checked in 0.21 s; not checked: WAL records, ignored paths',
  )
})

test('problems are counted by kind, the most frequent first', () => {
  expect(formatProblemCounts({ ...none, extra: 1 })).toBe('1 problem (1 extra)')
  expect(formatProblemCounts({ ...none, extra: 1, missing: 1, 'wal-missing': 4 })).toBe(
    '6 problems (4 wal-missing, 1 missing, 1 extra)',
  )
})

test.each([
  { what: 'all pages wrong', pages: { checked: 3000, mismatched: 2990 }, hints: ['--page-checksums=off'] },
  { what: 'some pages wrong', pages: { checked: 3000, mismatched: 2000 }, hints: [] },
  { what: 'few pages, all wrong', pages: { checked: 3, mismatched: 3 }, hints: [] },
])('$what have the right hint', ({ pages, hints }) => {
  const said = listHints({ ...report, pages: { newer: 0, replayed: 0, ...pages } })
  expect(said.map((hint) => /--[a-z-]+=off/.exec(hint)?.[0])).toEqual(hints)
})

test('WAL that is missing has the hint where to look for it, or how to do without', () => {
  const problemCounts = { ...none, 'wal-missing': 1 }
  expect(listHints({ ...report, problemCounts })).toEqual([expect.stringMatching(/--wal-path.*-n/)])
})

test('directories that are missing have the hint to make them again', () => {
  const problemCounts = { ...none, 'missing-directory': 2 }
  expect(listHints({ ...report, problemCounts })).toEqual([expect.stringContaining('mkdir')])
})
