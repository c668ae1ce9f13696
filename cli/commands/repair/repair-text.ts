import { decodePathname, displayPathname } from '../../../src/files/pathname.js'
import type { RepairProgress } from '../../../src/repair/options.js'
import type { RepairItem, RepairReport } from '../../../src/repair/report.js'
import { formatBytes, formatCount, formatSeconds } from '../../../src/renderings/format.js'
import type { Messages } from '../../messages.js'
import { formatShare, ProgressReporter } from '../../progress-reporter.js'
import type { CommandContext } from '../command.js'
import { printProblem } from '../verify/print-verdict.js'

/** Progress of one step after the other. */
export class StepProgress {
  readonly #messages: Messages
  #step: RepairProgress['step'] | undefined
  #reporter: ProgressReporter<RepairProgress> | undefined

  constructor(messages: Messages) {
    this.#messages = messages
  }

  report(state: RepairProgress): void {
    if (state.step !== this.#step) this.finish()
    this.#step = state.step
    this.#reporter ??= new ProgressReporter(this.#messages, undefined, formatStep)
    this.#reporter.report(state)
  }

  finish(): void {
    this.#reporter?.finish()
    this.#reporter = undefined
  }
}

function formatStep(state: RepairProgress): string {
  const done = { verify: 'verified', repair: 'repaired', 'verify again': 'verified again' } as const
  return `${formatShare(state)} ${done[state.step]}`
}

const whatWords: Readonly<Record<RepairItem['what'], string>> = {
  file: 'file',
  directory: 'directory',
  'wal-segment': 'WAL segment',
  link: 'symbolic link',
  manifest: 'manifest',
}

/** Says each thing, and each hint once. */
export function itemPrinter(
  { print, messages }: CommandContext,
  isQuiet: boolean,
): (item: RepairItem) => void {
  const hints = new Set<string>()
  return ({ what, path, encodedPath, problem, outcome, reason }) => {
    const name = path ?? (encodedPath && decodePathname(Buffer.from(encodedPath, 'hex')))
    const shown = name === undefined ? whatWords[what] : `${whatWords[what]} "${displayPathname(name)}"`
    if (reason === undefined) {
      const why = problem === undefined ? '' : ` (${problem})`
      if (!isQuiet) print(`${outcome === 'repaired' ? 'repaired' : 'would repair'} ${shown}${why}`)
      return
    }
    messages.error(`could not repair ${shown}: ${reason.message}`)
    if (reason.hint === undefined || hints.has(reason.hint)) return
    hints.add(reason.hint)
    messages.hint(reason.hint)
  }
}

const copyWords: Readonly<Record<RepairReport['copy']['backup'], string | undefined>> = {
  same: undefined,
  'other-backup': 'is of another backup',
  'other-cluster': 'is of another cluster',
  unknown: 'has no manifest that can be read, so it is not known of which backup it is',
}

/** Says of which backup the copy is, unless it is this one. */
export function printCopy(messages: Messages, { directory, backup }: RepairReport['copy']): void {
  const word = copyWords[backup]
  if (word === undefined) return
  messages.warning(
    `the copy in "${displayPathname(directory)}" ${word}; only what fits the manifest is taken`,
  )
}

/** Says what is left to say when each item was said. */
export function printReport(context: CommandContext, report: RepairReport, isQuiet: boolean): void {
  const { print, messages } = context
  const { items, problems, verdict, isDryRun, manifest } = report
  if (!isQuiet && manifest.isOfCopy) {
    messages.warning(
      'the manifest is that of the copy: nothing else shows that this is the backup that it should be',
    )
  }
  const said = new Set(items.flatMap(({ path, reason }) => (reason === undefined ? [] : [path])))
  for (const problem of problems) {
    if (problem.path === undefined || !said.has(problem.path)) printProblem(messages, problem)
  }
  const summary = formatSummary(report)
  switch (verdict) {
    case 'verified':
      if (!isQuiet) print(`backup successfully verified\n${summary}`)
      return
    case 'repairable':
      if (!isQuiet) messages.note(summary)
      messages.note('backup verification failed, and all that was found can be repaired')
      messages.hint('Use --write to repair it.')
      return
    case 'failed':
      if (!isQuiet) messages.note(summary)
      messages.note(
        isDryRun ? 'backup verification failed, and not all can be repaired' : 'backup verification failed',
      )
      return
    case 'partial':
      if (!isQuiet) messages.note(summary)
      messages.note('only a part of the backup was verified; no problem was found in it')
      return
    default:
      verdict satisfies never
  }
}

function formatSummary({ items, problems, isDryRun, bytesWritten, seconds }: RepairReport): string {
  const count = (outcome: RepairItem['outcome']): number =>
    items.filter((item) => item.outcome === outcome).length
  const left = count('not-repaired')
  const notRepaired = left === 0 ? '' : `, ${left} ${isDryRun ? 'could not be repaired' : 'not repaired'}`
  const took = formatSeconds(seconds)
  if (items.length === 0) {
    return `${problems.length === 0 ? 'nothing to repair' : 'nothing that a copy could repair'}, in ${took}`
  }
  if (isDryRun)
    return `${formatCount(count('repairable'), 'thing')} would be repaired${notRepaired}, in ${took}; nothing was changed`
  return `${formatCount(count('repaired'), 'thing')} repaired${notRepaired}, ${formatBytes(bytesWritten)} written, in ${took}`
}
