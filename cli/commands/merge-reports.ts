import { setTimeout } from 'node:timers/promises'
import { isPbManifestError } from '../../src/errors.js'
import { isNotThere } from '../../src/files/system-error.js'
import { throwIfAborted } from '../../src/files/yielder.js'
import { checkReportFiles } from '../../src/renderings/report-files.js'
import type { MergeReportsOptions } from '../../src/shards/merge-reports.js'
import type { VerifyReport } from '../../src/verify/report.js'
import { exitStatusOfVerdict } from '../exit-status.js'
import { readCount, readOptional } from '../option-values.js'
import { readDuration } from '../read-duration.js'
import { requireQuietOrVerbose, usageError } from '../usage-error.js'
import { withoutUndefined } from '../without-undefined.js'
import { type Command, defineCommand } from './command.js'
import { printProblem, printVerdict } from './verify/print-verdict.js'
import { readReportOutput, tellReport } from './verify/report-output.js'
import { formatDetails } from './verify/verbose-text.js'
import { verifyOptions } from './verify/verify-options.js'

const options = {
  'Fragments:': {
    shards: {
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'how many shards there were (default: as the fragments say)',
    },
    'max-age': {
      type: 'string',
      value: 'AGE',
      kind: 'text',
      describe: 'do not take fragments of verifications that began longer ago: 12h',
    },
    wait: {
      type: 'string',
      value: 'TIME',
      kind: 'text',
      describe: 'wait so long for the fragments of all shards: 6h',
    },
  },
  'Output:': {
    quiet: verifyOptions['Output:'].quiet,
    verbose: { alias: 'v', type: 'boolean', describe: 'say what was verified, and how' },
    output: verifyOptions['Output:'].output,
    report: verifyOptions['Output:'].report,
  },
} as const

/** How often to look whether a fragment is there, in milliseconds. */
const LOOK_EVERY_MS = 1000

export const mergeReportsCommand: Command = defineCommand({
  name: 'merge-reports',
  summary: 'make one report of the fragments of verify --shard',
  synopsis: '[OPTION]... FRAGMENT...',
  operands: 'file',
  options,
  examples: [
    ['fragment.*', 'the report of the backup, and the exit status of verify'],
    ['--output=json --wait=6h fragment.1 fragment.2', 'as JSON, when both are there'],
  ],
  run: async (context, values, operands) => {
    const { messages, printJson, signal } = context
    if (operands.length === 0) throw usageError('no report fragments specified')
    requireQuietOrVerbose(values)
    const output = readReportOutput(values.output, values.report)
    await checkReportFiles(output.files, [])
    const waitSeconds = readOptional(readDuration, '--wait', values.wait)
    const report = await mergeWhenThere(operands, waitSeconds ?? 0, {
      ...withoutUndefined({
        shards: readOptional(readCount, '--shards', values.shards),
        maxAgeSeconds: readOptional(readDuration, '--max-age', values['max-age']),
      }),
      signal,
      ...(output.kind === 'text' && { onProblem: (problem) => printProblem(messages, problem) }),
    })
    const print = async (): Promise<void> => {
      if (output.kind === 'json') {
        const { formatReportAsJson } = await import('../../src/verify/format-report.js')
        printJson(formatReportAsJson(report))
        return
      }
      if (values.verbose === true) for (const line of formatDetails(report)) messages.note(line)
      printVerdict(context, report, { isQuiet: values.quiet === true, hasHints: true })
    }
    return await tellReport(context, output, {
      report: async () => {
        const { backupsReportOf } = await import('../../src/verify/several/verify-backups.js')
        return backupsReportOf(report)
      },
      isPlural: false,
      status: exitStatusOfVerdict(report.verdict),
      print,
    })
  },
})

/** Merges as soon as that is possible; at the end of the time says why it is not. */
async function mergeWhenThere(
  fragments: readonly string[],
  waitSeconds: number,
  options: MergeReportsOptions & { readonly signal: AbortSignal },
): Promise<VerifyReport> {
  const { mergeReports } = await import('../../src/shards/merge-reports.js')
  const end = performance.now() + waitSeconds * 1000
  for (;;) {
    try {
      return await mergeReports(fragments, options)
    } catch (error) {
      if (!mayBeBetterLater(error) || performance.now() >= end) throw error
    }
    await setTimeout(LOOK_EVERY_MS, undefined, { signal: options.signal }).catch(() => {})
    throwIfAborted(options.signal)
  }
}

/** A fragment that is missing, or of yesterday, may still come; one that is damaged will be no better. */
function mayBeBetterLater(error: unknown): boolean {
  if (!isPbManifestError(error)) return false
  return error.code === 'CANNOT_MERGE' || (error.code === 'IO' && isNotThere(error.cause))
}
