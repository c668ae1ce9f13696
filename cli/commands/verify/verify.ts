import type { Readable } from 'node:stream'
import { pageChecksumsChoices, type VerifyOptions } from '../../../src/verify/options.js'
import type { VerifyReport } from '../../../src/verify/report.js'
import { exitStatus, exitStatusOfVerdict } from '../../exit-status.js'
import { readOnlyOperand } from '../../operands.js'
import { readCount, readOptional } from '../../option-values.js'
import type { Messages } from '../../messages.js'
import { readRate } from '../../read-rate.js'
import { ProgressReporter } from '../../progress-reporter.js'
import { usageError } from '../../usage-error.js'
import { findBackups } from '../../../src/verify/several/find-backups.js'
import { printProblem, printVerdict } from './print-verdict.js'
import { formatDetails, stepWords } from './verbose-text.js'
import { withoutUndefined } from '../../without-undefined.js'
import { checkReportFiles, reportKinds } from '../../../src/renderings/report-files.js'
import { readReportOutput, refuseReportOutput, tellFailure, tellReport } from './report-output.js'
import { runVerifyChain } from './verify-chain.js'
import { isReportFile, runVerifySignedReport } from './verify-signed-report.js'
import { readStateRequest, type ReportToKeep, verifyWithState } from './verify-with-state.js'
import { type Command, defineCommand, type OptionValues } from '../command.js'

const options = {
  'What to verify:': {
    'manifest-path': {
      alias: 'm',
      type: 'string',
      value: 'PATH',
      kind: 'file',
      describe: 'manifest to use (default: backup_manifest in DIRECTORY)',
    },
    'wal-path': {
      alias: ['w', 'wal-directory'],
      type: 'string',
      value: 'PATH',
      kind: 'path',
      describe: 'directory or tar archive with the WAL (default: pg_wal in DIRECTORY)',
    },
    'partial-wal': {
      type: 'boolean',
      describe: 'take NAME.partial for a WAL segment that is missing',
    },
    ignore: {
      alias: 'i',
      type: 'string',
      array: true,
      value: 'RELATIVE_PATH',
      kind: 'text',
      describe: 'relative path, or glob, to ignore with all below it',
    },
    format: {
      alias: 'F',
      type: 'string',
      value: 'p|t',
      kind: 'text',
      suggestions: ['plain', 'tar'],
      describe: 'backup format: plain or tar (default: as it is found)',
    },
    archive: {
      type: 'string',
      value: 'NAME',
      kind: 'text',
      suggestions: ['base', 'pg_wal'],
      describe: 'of an archive on standard input: base (default), pg_wal or an OID',
    },
    chain: {
      type: 'boolean',
      describe: 'verify a full backup and the incremental ones that build on it, in this order',
    },
    'page-checksums': {
      choices: pageChecksumsChoices,
      valueWhenBare: 'on',
      type: 'string',
      value: 'auto|on|off',
      describe: 'check the checksums of data pages (default: auto, if the cluster has them)',
    },
  },
  'Who must have signed it:': {
    'allowed-signers': {
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'allowed signers, as for ssh-keygen: the manifest, or report, must be signed',
    },
    'signer-identity': {
      alias: 'I',
      type: 'string',
      value: 'NAME',
      kind: 'text',
      describe: 'who of the allowed signers (default: any)',
    },
    signature: {
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'the signature (default: DIRECTORY.sig, or backup_manifest.sig in DIRECTORY)',
    },
  },
  'How:': {
    'skip-checksums': { alias: 's', type: 'boolean', describe: 'do not read the files' },
    'no-parse-wal': { alias: 'n', type: 'boolean', describe: 'do not look at the WAL' },
    'exit-on-error': { alias: 'e', type: 'boolean', describe: 'stop at the first problem' },
    'max-rate': {
      alias: 'r',
      type: 'string',
      value: 'RATE',
      kind: 'text',
      describe: 'how much is read in a second: kB, or with the suffix k or M',
    },
    jobs: {
      alias: 'j',
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'threads that read files and WAL (default: one per CPU; up to 8 where storage answers late)',
    },
  },
  'What to keep:': {
    state: {
      type: 'string',
      value: 'DIR',
      kind: 'directory',
      describe: 'keep the report there, for status (default: PBMANIFEST_STATE, if that is set)',
    },
    'max-age': {
      type: 'string',
      value: 'AGE',
      kind: 'text',
      describe: 'do not read what is unchanged since it was read, unless that is so long ago: 30d',
    },
    subset: {
      type: 'string',
      value: 'PART',
      kind: 'text',
      describe: 'read only a part of the files, each time the next: 5%, 200G, or 3/30',
    },
  },
  'Output:': {
    progress: { alias: 'P', type: 'boolean', describe: 'show progress on standard error' },
    quiet: { alias: 'q', type: 'boolean', describe: 'print nothing but errors' },
    verbose: { alias: 'v', type: 'boolean', describe: 'say each step, and what was verified and how' },
    output: {
      choices: ['text', 'json', 'nagios'],
      default: 'text',
      type: 'string',
      value: 'text|json|nagios',
      describe: 'on standard output: text, a JSON document, or the line of a Nagios plugin',
    },
    report: {
      type: 'string',
      array: true,
      value: 'KIND=FILE',
      kind: 'text',
      suggestions: reportKinds.map((kind) => `${kind}=`),
      describe: 'write the report into FILE, too, as KIND: html, json, junit, prometheus',
    },
  },
} as const

type Values = OptionValues<typeof options>

function readOptions(values: Values): VerifyOptions {
  if (values.progress === true && values.quiet === true) {
    throw usageError('cannot specify both -P/--progress and -q/--quiet')
  }
  if (values.verbose === true && values.quiet === true) {
    throw usageError('cannot specify both -v/--verbose and -q/--quiet')
  }
  if (values['allowed-signers'] === undefined) {
    const name = (['signer-identity', 'signature'] as const).find((name) => values[name] !== undefined)
    if (name !== undefined) throw usageError(`--${name} is for use with --allowed-signers`)
  }
  return withoutUndefined({
    format: readFormat(values.format),
    manifestPath: values['manifest-path'],
    allowedSigners: values['allowed-signers'],
    signerIdentity: values['signer-identity'],
    signaturePath: values.signature,
    walDirectory: values['wal-path'],
    partialWal: values['partial-wal'],
    ignore: values.ignore,
    exitOnError: values['exit-on-error'],
    skipChecksums: values['skip-checksums'],
    pageChecksums: values['page-checksums'],
    noParseWal: values['no-parse-wal'],
    maxRate: values['max-rate'] === undefined ? undefined : readRate(values['max-rate']),
    jobs: readOptional(readCount, '-j/--jobs', values.jobs),
  } satisfies { [Name in keyof VerifyOptions]?: VerifyOptions[Name] | undefined })
}

/** What is done is told in the order in which it is begun. */
function verboseOptions(values: Values, messages: Messages): Pick<VerifyOptions, 'onStep'> {
  if (values.verbose !== true) return {}
  return {
    onStep: (step) => {
      if (step !== 'checksums' || values['skip-checksums'] !== true) messages.note(stepWords[step])
    },
  }
}

function readFormat(format: string | undefined): VerifyOptions['format'] {
  switch (format) {
    case undefined:
      return undefined
    case 'p':
    case 'plain':
      return 'plain'
    case 't':
    case 'tar':
      return 'tar'
    default:
      throw usageError(`invalid backup format "${format}", must be "plain" or "tar"`)
  }
}

/** Verifies the backup in this directory, or, when its name is `-`, the archive on standard input. */
async function verify(
  directory: string,
  { archive }: Values,
  options: VerifyOptions,
  stdin: Readable,
): Promise<VerifyReport> {
  if (directory !== '-') {
    if (archive !== undefined) throw usageError('--archive is for an archive on standard input')
    const { verifyBackup } = await import('../../../src/verify/verify-backup.js')
    return await verifyBackup(directory, options)
  }
  const { manifestPath, format } = options
  if (format === 'plain') throw usageError('a backup in plain format cannot come from standard input')
  if (manifestPath === undefined) {
    throw usageError('-m/--manifest-path is needed for an archive on standard input')
  }
  const { verifyArchiveStream } = await import('../../../src/verify/verify-archive-stream.js')
  return await verifyArchiveStream(stdin, {
    ...options,
    manifestPath,
    ...(archive !== undefined && { archive }),
  })
}

export const verifyCommand: Command = defineCommand({
  name: 'verify',
  summary: 'verify a backup against its backup_manifest',
  synopsis: '[OPTION]... DIRECTORY...|GLOB|-|REPORT',
  operands: 'path',
  options,
  examples: [
    ['BACKUP', 'verify all that can be verified'],
    ['-P -j 8 -i "base/*/pgsql_tmp" BACKUP', 'with progress and 8 threads, ignoring a glob'],
    ['"/backups/*"', 'several backups, each by itself'],
    ['--chain FULL INCR1 INCR2', 'what pg_combinebackup is to combine'],
    ['-F tar -m MANIFEST - < base.tar.gz', 'one archive, from standard input'],
    ['--output=json BACKUP', 'the report as JSON, for programs'],
    ['--allowed-signers SIGNERS BACKUP', 'and whether the manifest is signed by one of them'],
  ],
  run: async (context, values, operands) => {
    const { printJson, messages, signal, stdin } = context
    const options = { ...readOptions(values), ...verboseOptions(values, messages) }
    const output = readReportOutput(values.output, values.report)
    const isJson = output.kind === 'json'
    const isVerbose = values.verbose === true
    if (values.chain === true) {
      if (values.state !== undefined) throw usageError('cannot specify both --chain and --state')
      readStateRequest(values, context.env, { canKeep: false })
      const { quiet, progress } = values
      refuseReportOutput(output, '--chain')
      const chainOutput = { isJson, isQuiet: quiet === true, hasProgress: progress === true, isVerbose }
      return await runVerifyChain(context, options, operands, chainOutput)
    }
    const backups = await findBackups(operands)
    if (backups.isPlural) {
      if (values.archive !== undefined) throw usageError('--archive is for an archive on standard input')
      const words = { isQuiet: values.quiet === true, hasProgress: values.progress === true, isVerbose }
      const { runVerifySeveral } = await import('./verify-several.js')
      const state = readStateRequest(values, context.env, { canKeep: true })
      return await runVerifySeveral(context, options, backups.directories, { ...words, output, state })
    }
    const directory = readOnlyOperand(backups.directories, 'backup directory')
    const { allowedSigners } = options
    if (allowedSigners !== undefined && isReportFile(directory)) {
      refuseReportOutput(output, 'a signed report')
      const words = { isJson, isQuiet: values.quiet === true }
      return await runVerifySignedReport(context, directory, { ...options, allowedSigners }, words)
    }
    await checkReportFiles(output.files, directory === '-' ? [] : [directory])
    const progress = values.progress === true ? new ProgressReporter(messages) : undefined
    const verifyOptions: VerifyOptions = {
      ...options,
      signal,
      ...(progress && { onProgress: (state) => progress.report(state) }),
      ...(output.kind === 'text' && {
        onProblem: (problem) => printProblem(messages, problem),
      }),
    }
    if (directory === '-' && values.state !== undefined)
      throw usageError('--state is not for an archive on standard input')
    const canKeep = directory !== '-' && values.archive === undefined
    const state = readStateRequest(values, context.env, { canKeep })
    const run = async (): Promise<{ report: VerifyReport; keep?: ReportToKeep['keep'] }> =>
      state === undefined
        ? { report: await verify(directory, values, verifyOptions, stdin) }
        : await verifyWithState(context, state, directory, verifyOptions)
    const { report, keep } = await run().catch(async (error: unknown) => {
      await tellFailure(context, output, directory, error)
      throw error
    })
    progress?.finish()
    const isAskedFor = report.verdict === 'partial' && isAllThatWasAskedFor(values, report)
    const print = async (): Promise<void> => {
      if (isJson) {
        const { formatReportAsJson } = await import('../../../src/verify/format-report.js')
        printJson(formatReportAsJson(report))
      } else {
        if (isVerbose) for (const line of formatDetails(report)) messages.note(line)
        printVerdict(context, report, { isQuiet: values.quiet === true, isAskedFor, hasHints: true })
      }
    }
    const status = isAskedFor ? exitStatus.done : exitStatusOfVerdict(report.verdict)
    return await tellReport(context, output, {
      report: async () => {
        const { backupsReportOf } = await import('../../../src/verify/several/verify-backups.js')
        return backupsReportOf(report)
      },
      isPlural: false,
      status,
      print,
      ...(keep && { keep }),
      stateDirectory: state?.directory,
    })
  },
})

/** Whether the one archive that was named is what was seen, so that no more of the backup was wanted. */
function isAllThatWasAskedFor(values: Values, report: VerifyReport): boolean {
  const { archive } = values
  if (archive === undefined) return false
  return report.filesChecked > 0 || values['skip-checksums'] === true || archive.startsWith('pg_wal')
}
