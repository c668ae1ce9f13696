import { expect, test } from 'vitest'
import { startRun } from '../../src/run-facts.js'
import { readBackupFacts } from '../../src/verify/backup-facts.js'
import type { ChainReport } from '../../src/verify/chain/chain-report.js'
import { formatChainReportAsJson, formatReportAsJson } from '../../src/verify/format-report.js'
import { IgnoreRules } from '../../src/verify/ignore-rules.js'
import { makeReport, withNotChecked } from '../../src/verify/make-report.js'
import { fileProblem, ProblemList } from '../../src/verify/problems.js'
import type { VerifyReport } from '../../src/verify/report.js'

function reportOf(problems: number): VerifyReport {
  const list = new ProblemList(undefined, false)
  for (let index = 0; index < problems; index++) {
    list.add(
      fileProblem(
        'missing',
        `a "${index}"\n]`,
        (name) => `"${name}" is missing`,
        { size: { expected: index } },
        'why',
      ),
    )
  }
  return makeReport({
    run: startRun()(),
    directory: '\n  "problems": []',
    path: null,
    options: {},
    jobs: 1,
    archive: undefined,
    fetchCommand: undefined,
    backup: readBackupFacts(() => undefined, new IgnoreRules([]), {
      version: 1,
      systemIdentifier: undefined,
    }),
    format: 'plain',
    manifest: {
      path: 'm',
      summary: { version: 1, systemIdentifier: undefined, checksum: 'ab'.repeat(32) },
      table: { rows: problems },
      bytes: 0,
      walRanges: [],
    } as never,
    problems: list,
    totals: {
      filesChecked: 0,
      bytesChecked: 0,
      pages: { checked: 0, mismatched: 0, newer: 0, replayed: 0 },
      walRecords: 0,
      walBytes: 0,
    },
    engines: {},
    seconds: { manifest: 0, scan: 0, checksums: 0, cluster: 0, wal: 0, total: 0 },
    notChecked: [],
    warnings: [],
    isPartial: false,
  })
}

test.each([0, 1, 999, 1000, 1001, 2500])(
  'a report of %d problems is what JSON.stringify makes of it',
  (count) => {
    const report = reportOf(count)
    const pieces = [...formatReportAsJson(report)]
    expect(pieces.join('')).toBe(JSON.stringify(report, null, 2))
    expect(report.problems).toHaveLength(count)
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(200_000)
  },
)

test.each([[], [0], [1, 0, 1001]])('so is the report of a chain of %j', (...counts) => {
  const report: ChainReport = {
    reportVersion: 2,
    ...startRun()(),
    verdict: 'failed',
    combine: 'unsafe',
    problems: [{ kind: 'order', directory: 'd', message: 'm' }],
    backups: counts.map((count) => withNotChecked(reportOf(count), [{ what: 'wal', why: 'w' }])),
    notChecked: [],
  }
  expect([...formatChainReportAsJson(report)].join('')).toBe(JSON.stringify(report, null, 2))
})

test('a report that does not fit its schema is not formatted', () => {
  const report = { ...reportOf(1), verdict: 'fine' } as never
  expect(() => [...formatReportAsJson(report)]).toThrow('the document does not fit schema verify-report')
})
