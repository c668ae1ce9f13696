import { requireFit } from '../schemas/validator.js'
import type { ChainReport } from './chain/chain-report.js'
import type { BackupsReport } from './several/verify-backups.js'
import { problemsOf } from './make-report.js'
import type { Problem, VerifyReport } from './report.js'

/** So many problems are formatted at once. */
const BATCH = 1000

/**
 * The report as a JSON document, by its schema, in pieces: it may be longer than a string can be.
 *
 * @throws Error when the report does not fit `schemas/verify-report.schema.json`: a bug of ours
 */
export function* formatReportAsJson(report: VerifyReport): Generator<string, void, undefined> {
  const frame = frameOf(report)
  requireFit('verify-report', frame)
  yield* formatReport(frame, problemsOf(report), '')
}

/** The same for a chain, by `schemas/verify-chain-report.schema.json`. */
export function* formatChainReportAsJson(report: ChainReport): Generator<string, void, undefined> {
  requireFit('verify-chain-report', { ...report, backups: report.backups.map(frameOf) })
  const [before, after] = splitAt({ ...report, backups: [] }, 'backups', '')
  yield before
  for (const [index, backup] of report.backups.entries()) {
    yield index === 0 ? '\n    ' : ',\n    '
    yield* formatReport(frameOf(backup), problemsOf(backup), '    ')
  }
  yield report.backups.length === 0 ? after : `\n  ${after}`
}

/** The same for several backups, by `schemas/verify-backups-report.schema.json`. */
export function* formatBackupsReportAsJson(report: BackupsReport): Generator<string, void, undefined> {
  const frames = report.backups.map((outcome) =>
    'report' in outcome ? { ...outcome, report: frameOf(outcome.report) } : outcome,
  )
  requireFit('verify-backups-report', { ...report, backups: frames })
  const [before, after] = splitAt({ ...report, backups: [] }, 'backups', '')
  yield before
  for (const [index, outcome] of report.backups.entries()) {
    yield index === 0 ? '\n    ' : ',\n    '
    if ('error' in outcome) {
      yield indented(JSON.stringify(outcome, null, 2), '    ')
    } else {
      yield `{\n      "directory": ${JSON.stringify(outcome.directory)},\n      "report": `
      yield* formatReport(frameOf(outcome.report), problemsOf(outcome.report), '      ')
      yield '\n    }'
    }
  }
  yield `\n  ${after}`
}

/** The report without its problems, whose array is not even made. */
function frameOf(report: VerifyReport): VerifyReport {
  return Object.defineProperties(
    {},
    { ...Object.getOwnPropertyDescriptors(report), problems: { value: [], enumerable: true } },
  ) as VerifyReport
}

function* formatReport(
  frame: VerifyReport,
  problems: Iterable<Problem>,
  indent: string,
): Generator<string, void, undefined> {
  const [before, after] = splitAt(frame, 'problems', indent)
  yield before
  let isFirst = true
  for (const batch of batches(problems)) {
    requireFit('verify-report', { ...frame, problems: batch })
    const text = indented(JSON.stringify(batch, null, 2).slice(1, -2), `${indent}  `)
    yield isFirst ? text : `,${text}`
    isFirst = false
  }
  yield isFirst ? after : `\n${indent}  ${after}`
}

/** The text before and behind the members of an array that is empty, but for the brackets, which belong to it. */
function splitAt(value: object, name: string, indent: string): [string, string] {
  const text = JSON.stringify(value, null, 2)
  // A line feed stands in no string of JSON.
  const place = `\n  "${name}": [`
  const at = text.indexOf(place) + place.length
  return [indented(text.slice(0, at), indent), indented(text.slice(at), indent)]
}

function indented(text: string, indent: string): string {
  return indent === '' ? text : text.replaceAll('\n', `\n${indent}`)
}

function* batches(problems: Iterable<Problem>): Generator<Problem[], void, undefined> {
  let batch: Problem[] = []
  for (const problem of problems) {
    if (batch.push(problem) < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
