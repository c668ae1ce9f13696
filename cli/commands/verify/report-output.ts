import { isPbManifestError } from '../../../src/errors.js'
import type { NagiosState } from '../../../src/renderings/nagios.js'
import {
  type ReportFile,
  type ReportKind,
  reportKinds,
  type WriteReportOptions,
} from '../../../src/renderings/report-files.js'
import type { StatusReport } from '../../../src/state/status.js'
import { startRun } from '../../../src/run-facts.js'
import type { BackupsReport } from '../../../src/verify/several/verify-backups.js'
import { type ExitStatus, exitStatus, exitStatusOfError, worstStatus } from '../../exit-status.js'
import { usageError } from '../../usage-error.js'
import type { CommandContext } from '../command.js'

/** Where the result of `verify` goes. */
export interface ReportOutput {
  readonly kind: 'text' | 'json' | 'nagios'
  readonly files: readonly ReportFile[]
}

/** @param files - as `--report` has them: `KIND=FILE` */
export function readReportOutput(kind: ReportOutput['kind'], files: readonly string[] = []): ReportOutput {
  return { kind, files: files.map(readReportFile) }
}

function readReportFile(text: string): ReportFile {
  const equals = text.indexOf('=')
  const kind = text.slice(0, Math.max(equals, 0))
  const path = text.slice(equals + 1)
  if (!isReportKind(kind) || path === '') {
    const kinds = reportKinds.map((name) => `${name}=FILE`).join(', ')
    throw usageError(`invalid value "${text}" for option --report`, `It must be one of: ${kinds}.`)
  }
  if (path === '-') {
    throw usageError('--report does not write to standard output', 'That is what --output is for.')
  }
  return { kind, path }
}

function isReportKind(kind: string): kind is ReportKind {
  return (reportKinds as readonly string[]).includes(kind)
}

/** For what has no such rendering. */
export function refuseReportFiles({ files }: ReportOutput, what: string): void {
  if (files.length > 0) throw usageError(`cannot specify both ${what} and --report`)
}

/** What is told at the end of a verification. */
interface Ending {
  /** Asked for only where it is to be told otherwise than as text or JSON. */
  readonly report: () => Promise<BackupsReport>
  /** Whether several backups could have been meant. */
  readonly isPlural: boolean
  readonly status: ExitStatus
  /** Prints it as text, or JSON. */
  readonly print: () => Promise<void>
  /** Where earlier verifications are known. */
  readonly stateDirectory?: string | undefined
  /** What is left to be done when it has been told. @returns the exit status after that */
  readonly keep?: (status: ExitStatus) => Promise<ExitStatus>
}

/**
 * Writes the report into its files and to standard output. A file that cannot be written is said, and takes nothing from the
 * verdict.
 *
 * @returns the exit status
 */
export async function tellReport(
  { print, messages }: Pick<CommandContext, 'print' | 'messages'>,
  { kind, files }: ReportOutput,
  ending: Ending,
): Promise<ExitStatus> {
  const { report: makeReport, isPlural, status, print: printReport } = ending
  const { stateDirectory, keep = async (status) => status } = ending
  if (kind !== 'nagios') await printReport()
  // So that what is known of earlier verifications is known of this one.
  const kept = await keep(status)
  if (kind !== 'nagios' && files.length === 0) return kept
  const report = await makeReport()
  const history = files.some(({ kind }) => kind === 'html') ? await readHistory(stateDirectory) : undefined
  const options = { isPlural, ...(history !== undefined && { history }) }
  const failures = await writeReportFiles(files, report, options)
  const ended = worstStatus([kept, ...failures.map((error) => exitStatusOfError(error, 'verify'))])
  if (kind === 'nagios') {
    const remarks = failures.map(({ message }) => message)
    return await printForNagios(print, report, ended, remarks)
  }
  for (const { message } of failures) messages.error(message)
  return ended
}

/** @returns why not, where it cannot be read; `undefined` when nothing is kept */
async function readHistory(stateDirectory: string | undefined): Promise<StatusReport | string | undefined> {
  if (stateDirectory === undefined) return undefined
  const { readStatus } = await import('../../../src/state/status.js')
  try {
    return readStatus(stateDirectory)
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    return error.message
  }
}

/** Writes into the files of a verification why it could not be one. The error is told by whoever catches it. */
export async function tellFailure(
  { messages, signal }: Pick<CommandContext, 'messages' | 'signal'>,
  { kind, files }: ReportOutput,
  directory: string,
  thrown: unknown,
): Promise<void> {
  if (files.length === 0) return
  const { describeFailure, summarizeOutcomes } = await import('../../../src/verify/several/verify-backups.js')
  const error = describeFailure(thrown, signal)
  if (error === undefined) return
  const report = summarizeOutcomes([{ directory, error }], startRun()())
  const failures = await writeReportFiles(files, report, { isPlural: false })
  if (kind !== 'nagios') for (const { message } of failures) messages.error(message)
}

async function writeReportFiles(
  files: readonly ReportFile[],
  report: BackupsReport,
  options: WriteReportOptions,
): Promise<Error[]> {
  if (files.length === 0) return []
  const { writeReportFile } = await import('../../../src/renderings/report-files.js')
  const failures: Error[] = []
  for (const file of files) {
    try {
      await writeReportFile(file, report, options)
    } catch (error) {
      if (!isPbManifestError(error)) throw error
      failures.push(error)
    }
  }
  return failures
}

/**
 * Prints what came of it as the line of a plugin.
 *
 * @param remarks - what is to be said before all else
 * @returns the exit status of a plugin
 */
export async function printForNagios(
  print: CommandContext['print'],
  report: BackupsReport,
  status: ExitStatus,
  remarks: readonly string[],
): Promise<ExitStatus> {
  const { formatReportForNagios, nagiosStates } = await import('../../../src/renderings/nagios.js')
  const state = nagiosStateOfStatus(status)
  print(formatReportForNagios(report, { state, remarks }))
  return nagiosStates[state]
}

function nagiosStateOfStatus(status: ExitStatus): NagiosState {
  switch (status) {
    case exitStatus.done:
      return 'ok'
    case exitStatus.partial:
      return 'warning'
    case exitStatus.problems:
      return 'critical'
    default:
      return 'unknown'
  }
}
