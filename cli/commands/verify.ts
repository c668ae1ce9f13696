import type { InferredOptionTypes } from 'yargs'
import { pageChecksumsChoices, type VerifyOptions } from '../../src/verify/options.js'
import { exitStatusOfVerdict } from '../exit-status.js'
import { readOnlyOperand } from '../operands.js'
import { readCount, readOptional } from '../option-values.js'
import { ProgressReporter } from '../progress.js'
import { usageError } from '../usage-error.js'
import { formatProblemCounts, formatSummary } from '../verify-text.js'
import { withoutUndefined } from '../without-undefined.js'
import { runVerifyChain } from './verify-chain.js'
import { type Command, defineCommand } from './command.js'

const whatGroup = 'What to verify:'
const howGroup = 'How:'
const outputGroup = 'Output:'

const options = {
  'manifest-path': {
    alias: 'm',
    type: 'string',
    group: whatGroup,
    describe: 'manifest to use (default: backup_manifest in DIRECTORY)',
  },
  'wal-directory': {
    alias: ['w', 'wal-path'],
    type: 'string',
    group: whatGroup,
    describe: 'directory of the WAL files (default: pg_wal in DIRECTORY)',
  },
  'partial-wal': {
    type: 'boolean',
    group: whatGroup,
    describe: 'take NAME.partial for a WAL segment that is missing',
  },
  ignore: {
    alias: 'i',
    type: 'string',
    array: true,
    group: whatGroup,
    describe: 'relative path, or glob, to ignore with all below it',
  },
  format: { alias: 'F', type: 'string', group: whatGroup, describe: 'backup format: p or plain' },
  chain: {
    type: 'boolean',
    group: whatGroup,
    describe: 'verify a full backup and the incremental ones that build on it, in this order',
  },
  'page-checksums': {
    choices: pageChecksumsChoices,
    valueWhenBare: 'on',
    type: 'string',
    group: whatGroup,
    describe: 'check the checksums of data pages (default: auto, if the cluster has them)',
  },
  'skip-checksums': { alias: 's', type: 'boolean', group: howGroup, describe: 'do not read the files' },
  'no-parse-wal': { alias: 'n', type: 'boolean', group: howGroup, describe: 'do not look at the WAL' },
  'exit-on-error': { alias: 'e', type: 'boolean', group: howGroup, describe: 'stop at the first problem' },
  jobs: {
    alias: 'j',
    type: 'string',
    group: howGroup,
    describe: 'threads that read files and WAL (default: one per CPU)',
  },
  progress: { alias: 'P', type: 'boolean', group: outputGroup, describe: 'show progress on standard error' },
  quiet: { alias: 'q', type: 'boolean', group: outputGroup, describe: 'print nothing but errors' },
  output: {
    choices: ['text', 'json'],
    default: 'text',
    type: 'string',
    group: outputGroup,
    describe: 'json: one document on standard output',
  },
} as const

type Values = InferredOptionTypes<typeof options>

function readOptions(values: Values): VerifyOptions {
  checkFormat(values.format)
  if (values.progress === true && values.quiet === true) {
    throw usageError('cannot specify both -P/--progress and -q/--quiet')
  }
  return withoutUndefined({
    manifestPath: values['manifest-path'],
    walDirectory: values['wal-directory'],
    partialWal: values['partial-wal'],
    ignore: values.ignore,
    exitOnError: values['exit-on-error'],
    skipChecksums: values['skip-checksums'],
    pageChecksums: values['page-checksums'],
    noParseWal: values['no-parse-wal'],
    jobs: readOptional(readCount, '-j/--jobs', values.jobs),
  } satisfies { [Name in keyof VerifyOptions]?: VerifyOptions[Name] | undefined })
}

function checkFormat(format: string | undefined): void {
  switch (format) {
    case undefined:
    case 'p':
    case 'plain':
      return
    case 't':
    case 'tar':
      throw usageError('tar backups are not supported yet', 'Extract the archives and verify the directory.')
    default:
      throw usageError(`invalid backup format "${format}", must be "plain" or "tar"`)
  }
}

export const verifyCommand: Command = defineCommand({
  name: 'verify',
  summary: 'verify a backup directory against its backup_manifest',
  synopsis: '[OPTION]... DIRECTORY...',
  options,
  examples: [
    ['BACKUP', 'verify all that can be verified'],
    ['-P -j 8 -i "base/*/pgsql_tmp" BACKUP', 'with progress and 8 threads, ignoring a glob'],
    ['--chain FULL INCR1 INCR2', 'what pg_combinebackup is to combine'],
    ['--output=json BACKUP', 'the report as JSON, for programs'],
  ],
  run: async (context, values, operands) => {
    const { print, messages, signal } = context
    const options = readOptions(values)
    const isJson = values.output === 'json'
    if (values.chain === true) {
      const { quiet, progress } = values
      const output = { isJson, isQuiet: quiet === true, hasProgress: progress === true }
      return await runVerifyChain(context, options, operands, output)
    }
    const directory = readOnlyOperand(operands, 'backup directory')
    const { verifyBackup } = await import('../../src/verify/verify-backup.js')

    const progress = values.progress === true ? new ProgressReporter(messages) : undefined
    const report = await verifyBackup(directory, {
      ...options,
      signal,
      ...(progress && { onProgress: (state) => progress.report(state) }),
      ...(!isJson && {
        onProblem: ({ message, detail }) => {
          messages.error(message)
          if (detail !== undefined) messages.detail(detail)
        },
      }),
    })
    progress?.finish()

    if (isJson) {
      const { formatReportAsJson } = await import('../../src/verify/format-report.js')
      print(formatReportAsJson(report))
    } else if (report.verdict === 'verified') {
      if (values.quiet !== true) print(`backup successfully verified\n${formatSummary(report)}`)
    } else {
      if (values.quiet !== true) messages.note(formatSummary(report))
      messages.note(`backup verification failed: ${formatProblemCounts(report.problemCounts)}`)
    }
    return exitStatusOfVerdict(report.verdict)
  },
})
