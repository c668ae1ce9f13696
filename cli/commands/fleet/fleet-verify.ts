import { isPbManifestError, PbManifestError } from '../../../src/errors.js'
import { awaitFleet, type FleetProgress } from '../../../src/fleet/await-fleet.js'
import type { FleetRoot } from '../../../src/fleet/backup-place.js'
import { enqueueOnFleet } from '../../../src/fleet/enqueue-on-fleet.js'
import type { FleetConnection } from '../../../src/fleet/fleet-queue.js'
import { isStoreAddress } from '../../../src/source/store/store-address.js'
import { formatBytes, formatCount } from '../../../src/renderings/format.js'
import { checkReportFiles } from '../../../src/renderings/report-files.js'
import { startRun } from '../../../src/run-facts.js'
import { type BackupOutcome, summarizeOutcomes } from '../../../src/verify/several/verify-backups.js'
import { type ExitStatus, exitStatus, worstStatus } from '../../exit-status.js'
import { invalidValue, readBackupFormat, readCount } from '../../option-values.js'
import { requireQuietOrProgress, usageError } from '../../usage-error.js'
import { withoutUndefined } from '../../without-undefined.js'
import type { CommandContext } from '../command.js'
import { printProblem, printVerdict } from '../verify/print-verdict.js'
import { readReportOutput, type ReportOutput, tellReport } from '../verify/report-output.js'
import { exitStatusOfOutcome, printOutcome, printTotals } from '../verify/verify-several.js'
import type { FleetValues } from './fleet-values.js'

interface FleetVerifyRequest {
  readonly connection: FleetConnection
  readonly roots: readonly FleetRoot[]
  readonly backups: readonly string[]
}

/** Runs `fleet verify`. */
export async function runFleetVerify(
  context: CommandContext,
  values: FleetValues,
  { connection, roots, backups }: FleetVerifyRequest,
): Promise<ExitStatus> {
  const { print, printJson, messages, signal } = context
  requireQuietOrProgress(values)
  const output = readReportOutput(values.output, values.report)
  const waits = values.wait === true
  if (!waits && output.files.length > 0) throw usageError('--report is for use with --wait')
  if (values.run !== undefined && backups.length > 0) {
    throw usageError('cannot specify both --run and a backup')
  }
  if (values.run !== undefined && !waits) throw usageError('--run is for use with --wait')
  if (values.run === undefined && backups.length === 0) throw usageError('no backup specified')
  if (backups.some(isStoreAddress)) {
    throw usageError(
      'a fleet verifies directories, and no backup in an object store',
      'For such a one, each machine can run "pbmanifest verify --shard".',
    )
  }
  await checkReportFiles(output.files, backups)
  if (values.run !== undefined) return await report(context, values, output, connection, values.run, false)

  const { run, backups: enqueued } = await enqueueOnFleet(backups, {
    ...connection,
    roots,
    shards: readShards(values.shards),
    ...withoutUndefined({
      format: readBackupFormat(values.format, 'backup'),
      ignore: values.ignore,
      partialWal: values['partial-wal'],
      pageChecksums: values['page-checksums'],
      skipChecksums: values['skip-checksums'],
      noParseWal: values['no-parse-wal'],
    }),
    signal,
  })
  for (const { backup, workers } of enqueued) {
    if (workers === 0) messages.warning(`backup at "${backup}" waits: no worker of this version has its root`)
  }
  if (!waits) {
    if (output.kind === 'json') printJson(JSON.stringify({ run, backups: enqueued }, null, 2))
    else if (values.quiet !== true) {
      for (const { backup, shards } of enqueued)
        print(`enqueued "${backup}"${shards === null ? '' : ` in ${formatCount(shards, 'shard')}`}`)
      print(`for the report: pbmanifest fleet verify --wait --run ${run}`)
    }
    return exitStatus.done
  }
  try {
    return await report(context, values, output, connection, run, true)
  } catch (error) {
    if (signal.aborted || isPbManifestError(error)) {
      messages.note(
        `the verification goes on without us: pbmanifest fleet verify --wait --run ${run}, or fleet cancel`,
      )
    }
    throw error
  }
}

function readShards(text = 'auto'): number | 'auto' {
  if (text === 'auto') return text
  const shards = readCount('--shards', text)
  if (shards > 1000) throw invalidValue('--shards', text, '"auto", or a whole number from 1 to 1000')
  return shards
}

/** Waits, and tells as `verify` does. */
async function report(
  context: CommandContext,
  values: FleetValues,
  output: ReportOutput,
  connection: FleetConnection,
  run: string,
  isPatient: boolean,
): Promise<ExitStatus> {
  const { messages, printJson, signal } = context
  const endRun = startRun()
  const isQuiet = values.quiet === true
  const isText = output.kind === 'text'
  const progress = values.progress === true ? new FleetProgressLine(messages) : undefined
  const outcomes = await awaitFleet(run, {
    ...connection,
    isPatient,
    signal,
    ...(progress && { onProgress: (state) => progress.report(state) }),
  })
  progress?.finish()
  const [only] = outcomes
  const isPlural = outcomes.length > 1
  if (!isPlural && only !== undefined && 'error' in only) throw errorOf(only)
  const whole = summarizeOutcomes(outcomes, endRun())
  const print = async (): Promise<void> => {
    if (!isText) {
      const { formatBackupsReportAsJson, formatReportAsJson } =
        await import('../../../src/verify/format-report.js')
      const isOne = !isPlural && only !== undefined && 'report' in only
      printJson(isOne ? formatReportAsJson(only.report) : formatBackupsReportAsJson(whole))
      return
    }
    for (const outcome of outcomes) {
      const where = isPlural ? `backup at "${outcome.directory}": ` : ''
      if ('report' in outcome) {
        for (const problem of outcome.report.problems) printProblem(messages, problem, where)
      }
      if (isPlural) printOutcome(context, outcome, isQuiet)
      else if ('report' in outcome) printVerdict(context, outcome.report, { isQuiet, hasHints: true })
    }
    if (isPlural) printTotals(context, whole, isQuiet)
  }
  return await tellReport(context, output, {
    report: async () => whole,
    isPlural,
    status: worstStatus(outcomes.map(exitStatusOfOutcome)),
    print,
  })
}

function errorOf({ directory, error }: Extract<BackupOutcome, { error: unknown }>): PbManifestError {
  const { code, message, details, hint } = error
  return new PbManifestError(code, `backup at "${directory}": ${message}`, {
    details,
    ...(hint !== null && { hint }),
  })
}

/** What all machines are at, when that has changed: at most once a second. */
class FleetProgressLine {
  readonly #messages: CommandContext['messages']
  #shown = ''
  #latest = ''
  #shownAt = -Infinity

  constructor(messages: CommandContext['messages']) {
    this.#messages = messages
  }

  report({ shards, shardsDone, shardsRunning, bytesRunning, workers }: FleetProgress): void {
    const running =
      shardsRunning === 0 ? '' : `, ${shardsRunning} running (${formatBytes(bytesRunning)} read)`
    this.#latest = `${shardsDone}/${shards} shards verified${running}, ${formatCount(workers, 'worker')}`
    const now = performance.now()
    if (this.#latest === this.#shown || now - this.#shownAt < 1000) return
    this.#shown = this.#latest
    this.#shownAt = now
    this.#messages.progress(this.#latest, false)
  }

  finish(): void {
    this.#messages.progress(this.#latest, true)
  }
}
