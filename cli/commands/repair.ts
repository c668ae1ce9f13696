import { isAbsolute, resolve } from 'node:path'
import { decodePathname, displayPathname } from '../../src/files/pathname.js'
import { parsePositiveUnsignedInt32 } from '../../src/postgres/unsigned-int.js'
import type { RepairOptions, RepairProgress, StatedLink } from '../../src/repair/options.js'
import type { RepairItem, RepairReport } from '../../src/repair/report.js'
import { type ExitStatus, exitStatus } from '../exit-status.js'
import { formatBytes, formatCount, formatSeconds } from '../../src/renderings/format.js'
import type { Messages } from '../messages.js'
import { readOnlyOperand } from '../operands.js'
import { invalidValue, readCount, readOptional } from '../option-values.js'
import { formatShare, ProgressReporter } from '../progress-reporter.js'
import { usageError } from '../usage-error.js'
import { withoutUndefined } from '../without-undefined.js'
import { type Command, type CommandContext, defineCommand, type OptionValues } from './command.js'
import { printProblem } from './verify/print-verdict.js'

const options = {
  'From where:': {
    from: {
      type: 'string',
      kind: 'directory',
      value: 'COPY',
      describe: 'another copy of the backup, in plain format (required)',
    },
    'manifest-path': {
      alias: 'm',
      type: 'string',
      kind: 'file',
      value: 'FILE',
      describe: 'manifest that says what is right (default: DIRECTORY/backup_manifest)',
    },
    'manifest-from-copy': {
      type: 'boolean',
      describe: "trust the copy's manifest where DIRECTORY has no good one",
    },
    'trust-size': {
      type: 'boolean',
      describe: 'take files that have no checksum in the manifest by their size',
    },
  },
  'What to repair:': {
    write: { type: 'boolean', describe: 'repair; without it, nothing is changed' },
    'dry-run': { type: 'boolean', describe: 'only say what would be repaired (the default)' },
    ignore: {
      alias: 'i',
      type: 'string',
      array: true,
      kind: 'text',
      value: 'PATH',
      describe: 'relative path, or glob, to ignore with all below it',
    },
    'no-parse-wal': { alias: 'n', type: 'boolean', describe: 'do not look at the WAL' },
    tablespace: {
      alias: 'T',
      type: 'string',
      array: true,
      kind: 'text',
      value: 'OID=DIRECTORY',
      describe: 'where a tablespace is that lies outside of DIRECTORY',
    },
    waldir: { type: 'string', kind: 'directory', value: 'DIRECTORY', describe: 'the same for pg_wal' },
  },
  'Who must have signed it:': {
    'allowed-signers': {
      type: 'string',
      kind: 'file',
      value: 'FILE',
      describe: 'allowed signers, as for ssh-keygen: manifest must be signed',
    },
    'signer-identity': {
      alias: 'I',
      type: 'string',
      kind: 'text',
      value: 'NAME',
      describe: 'who of the allowed signers (default: any)',
    },
    signature: {
      type: 'string',
      kind: 'file',
      value: 'FILE',
      describe: 'the signature (default: as verify has it)',
    },
  },
  'How:': {
    jobs: {
      alias: 'j',
      type: 'string',
      kind: 'number',
      value: 'N',
      describe: 'threads, and files at a time (default: one per CPU)',
    },
  },
  'Output:': {
    progress: { alias: 'P', type: 'boolean', describe: 'show progress on standard error' },
    quiet: { alias: 'q', type: 'boolean', describe: 'print nothing but errors' },
    output: {
      choices: ['text', 'json'],
      default: 'text',
      type: 'string',
      value: 'text|json',
      describe: 'result as text, or one JSON document on standard output',
    },
  },
} as const

type Values = OptionValues<typeof options>

function readOptions(values: Values): Omit<RepairOptions, 'signal'> {
  const { from } = values
  if (from === undefined)
    throw usageError('no copy specified', 'Say with --from=DIRECTORY from where to repair.')
  if (values.write === true && values['dry-run'] === true) {
    throw usageError('cannot specify both --write and --dry-run')
  }
  if (values.progress === true && values.quiet === true) {
    throw usageError('cannot specify both -P/--progress and -q/--quiet')
  }
  if (values['manifest-from-copy'] === true && values['manifest-path'] !== undefined) {
    throw usageError('cannot specify both --manifest-from-copy and -m/--manifest-path')
  }
  if (values['allowed-signers'] === undefined) {
    const name = (['signer-identity', 'signature'] as const).find((name) => values[name] !== undefined)
    if (name !== undefined) throw usageError(`--${name} is for use with --allowed-signers`)
  }
  return {
    from,
    links: readLinks(values),
    ...withoutUndefined({
      manifestPath: values['manifest-path'],
      manifestFromCopy: values['manifest-from-copy'],
      trustSize: values['trust-size'],
      write: values.write,
      ignore: values.ignore,
      noParseWal: values['no-parse-wal'],
      allowedSigners: values['allowed-signers'],
      signerIdentity: values['signer-identity'],
      signaturePath: values.signature,
      jobs: readOptional(readCount, '-j/--jobs', values.jobs),
    }),
  }
}

function readLinks({ tablespace = [], waldir }: Values): StatedLink[] {
  const links = tablespace.map((text) => {
    const equals = text.indexOf('=')
    const oid = text.slice(0, equals)
    const directory = text.slice(equals + 1)
    if (equals === -1 || parsePositiveUnsignedInt32(oid) === undefined || !isAbsolute(directory)) {
      throw invalidValue(
        '-T/--tablespace',
        text,
        'OID=DIRECTORY with an absolute path, such as 16384=/backups/fast',
      )
    }
    return { pathname: `pg_tblspc/${oid}`, directory }
  })
  return waldir === undefined ? links : [...links, { pathname: 'pg_wal', directory: resolve(waldir) }]
}

export const repairCommand: Command = defineCommand({
  name: 'repair',
  summary: 'repair a backup from another copy of it',
  synopsis: '--from COPY [OPTION]... DIRECTORY',
  operands: 'directory',
  options,
  examples: [
    ['--from COPY BACKUP', 'what could be repaired; changes nothing'],
    ['--from COPY --write BACKUP', 'repair it, and verify it again'],
    ['--from COPY --write -T 16384=/backups/fast BACKUP', 'with a tablespace that lies elsewhere'],
  ],
  run: async (context, values, operands) => {
    const { printJson, messages, signal } = context
    const repairOptions = readOptions(values)
    const directory = readOnlyOperand(operands, 'backup directory')
    const isJson = values.output === 'json'
    const isQuiet = values.quiet === true
    const { repairBackup } = await import('../../src/repair/repair-backup.js')
    const progress = values.progress === true ? new StepProgress(messages) : undefined
    const report = await repairBackup(directory, {
      ...repairOptions,
      signal,
      ...(progress && { onProgress: (state) => progress.report(state) }),
      ...(!isJson && { onItem: itemPrinter(context, isQuiet) }),
      ...(!isJson && !isQuiet && { onCopy: (copy) => printCopy(messages, copy) }),
    })
    progress?.finish()
    if (isJson) {
      const { formatRepairReportAsJson } = await import('../../src/repair/format-report.js')
      printJson(formatRepairReportAsJson(report))
    } else printReport(context, report, isQuiet)
    return exitStatusOf(report)
  },
})

/** Progress of one step after the other. */
class StepProgress {
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
function itemPrinter({ print, messages }: CommandContext, isQuiet: boolean): (item: RepairItem) => void {
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

function printCopy(messages: Messages, { directory, backup }: RepairReport['copy']): void {
  const word = copyWords[backup]
  if (word === undefined) return
  messages.warning(
    `the copy in "${displayPathname(directory)}" ${word}; only what fits the manifest is taken`,
  )
}

function printReport(context: CommandContext, report: RepairReport, isQuiet: boolean): void {
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

function exitStatusOf({ verdict, items }: RepairReport): ExitStatus {
  if (verdict === 'verified') return exitStatus.done
  if (verdict === 'partial') return exitStatus.partial
  const couldNotWrite = items.some(({ reason }) => reason?.kind === 'write-failed')
  return couldNotWrite ? exitStatus.inputOutput : exitStatus.problems
}
