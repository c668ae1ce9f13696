import type { Readable } from 'node:stream'
import type { FetchedBackupPlace, StoredBackupPlace } from '../../../src/shards/verify-shard.js'
import type { VerifyOptions } from '../../../src/verify/options.js'
import type { VerifyReport } from '../../../src/verify/report.js'
import { exitStatus, exitStatusOfVerdict } from '../../exit-status.js'
import { readOnlyOperand } from '../../operands.js'
import { readIoSeconds, readOptional } from '../../option-values.js'
import type { Messages } from '../../messages.js'
import { ProgressReporter } from '../../progress-reporter.js'
import { usageError } from '../../usage-error.js'
import { withoutUndefined } from '../../without-undefined.js'
import { findBackups } from '../../../src/verify/several/find-backups.js'
import { printProblem, printVerdict } from './print-verdict.js'
import { formatDetails, stepWords } from './verbose-text.js'
import { checkReportFiles } from '../../../src/renderings/report-files.js'
import { readReportOutput, refuseReportFiles, tellFailure, tellReport } from './report-output.js'
import { readStoreOptions, refuseStoreOptions } from '../../store-options.js'
import { namesStore, refuseBesideStore, verifyStored } from './verify-stored.js'
import { runVerifyChain } from './verify-chain.js'
import { isReportFile, runVerifySignedReport } from './verify-signed-report.js'
import { readVerifyOptions, verifyOptions, type VerifyValues } from './verify-options.js'
import { readStateRequest, type ReportToKeep, verifyWithState } from './verify-with-state.js'
import { type Command, defineCommand } from '../command.js'

/** What is done is told in the order in which it is begun. */
function verboseOptions(values: VerifyValues, messages: Messages): Pick<VerifyOptions, 'onStep'> {
  if (values.verbose !== true) return {}
  return {
    onStep: (step) => {
      if (step !== 'checksums' || values['skip-checksums'] !== true) messages.note(stepWords[step])
    },
  }
}

/** Verifies a backup that a command gives. */
async function verifyFetched(
  fetchCommand: string,
  values: VerifyValues,
  { format, ...options }: VerifyOptions,
): Promise<VerifyReport> {
  if (format === 'plain') throw usageError('a backup in plain format cannot come from --fetch-command')
  const { verifyFetchedBackup } = await import('../../../src/verify/verify-fetched-backup.js')
  return await verifyFetchedBackup({ ...options, fetchCommand, ...readFetchTimeout(values) })
}

/** Verifies the backup in this directory, or, when its name is `-`, the archive on standard input. */
async function verify(
  directory: string,
  { archive }: VerifyValues,
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
  synopsis: '[OPTION]... DIRECTORY...|GLOB|s3://...|-|REPORT',
  operands: 'path',
  options: verifyOptions,
  examples: [
    ['BACKUP', 'verify all that can be verified'],
    ['-P -j 8 -i "base/*/pgsql_tmp" BACKUP', 'with progress and 8 threads, ignoring a glob'],
    ['"/backups/*"', 'several backups, each by itself'],
    ['s3://BUCKET/backups/monday', 'where it lies, in an object store'],
    ['--chain FULL INCR1 INCR2', 'what pg_combinebackup is to combine'],
    ["--fetch-command 'aws s3 cp s3://backups/monday/%f -'", 'all of a tar backup, wherever it is'],
    ['-F tar -m MANIFEST - < base.tar.gz', 'one archive, from standard input'],
    ['--shard 2/7 --report-fragment FILE BACKUP', 'a seventh of it, while other machines verify the rest'],
    ['--output=json BACKUP', 'the report as JSON, for programs'],
    ['--allowed-signers SIGNERS BACKUP', 'and whether the manifest is signed by one of them'],
  ],
  run: async (context, values, operands) => {
    const { printJson, messages, signal, stdin } = context
    const options = { ...readVerifyOptions(values), ...verboseOptions(values, messages) }
    const isInStore = namesStore(operands)
    if (isInStore) refuseBesideStore(values, operands)
    else refuseStoreOptions(values)
    if (!isInStore && values.checksums !== undefined) throw usageError('--checksums is for use with s3://')
    if (values.shard !== undefined) {
      const { runVerifyShard } = await import('./verify-shard.js')
      return await runVerifyShard(context, options, values, placeOf(values, operands, context.env))
    }
    const output = readReportOutput(values.output, values.report)
    const isJson = output.kind === 'json'
    const isVerbose = values.verbose === true
    if (values.chain === true) {
      const other = (['state', 'fetch-command'] as const).find((name) => values[name] !== undefined)
      if (other !== undefined) throw usageError(`cannot specify both --chain and --${other}`)
      readStateRequest(values, context.env, { canKeep: false })
      const { quiet, progress } = values
      refuseReportFiles(output, '--chain')
      const chainOutput = {
        kind: output.kind,
        isQuiet: quiet === true,
        hasProgress: progress === true,
        isVerbose,
      }
      return await runVerifyChain(context, options, operands, chainOutput)
    }
    const fetchCommand = values['fetch-command']
    const isFetched = fetchCommand !== undefined
    refuseBesideFetching(values, operands)
    const isElsewhere = isFetched || isInStore
    const backups = isElsewhere
      ? { directories: isFetched ? [fetchCommand] : operands, isPlural: false }
      : await findBackups(operands)
    if (backups.isPlural) {
      if (values.archive !== undefined) throw usageError('--archive is for an archive on standard input')
      const words = { isQuiet: values.quiet === true, hasProgress: values.progress === true, isVerbose }
      const { runVerifySeveral } = await import('./verify-several.js')
      const state = readStateRequest(values, context.env, { canKeep: true })
      return await runVerifySeveral(context, options, backups.directories, { ...words, output, state })
    }
    const directory = readOnlyOperand(backups.directories, 'backup directory')
    const { allowedSigners } = options
    if (allowedSigners !== undefined && !isElsewhere && isReportFile(directory)) {
      refuseReportFiles(output, 'a signed report')
      if (output.kind === 'nagios')
        throw usageError('cannot specify both a signed report and --output=nagios')
      const words = { isJson, isQuiet: values.quiet === true }
      return await runVerifySignedReport(context, directory, { ...options, allowedSigners }, words)
    }
    await checkReportFiles(output.files, directory === '-' || isElsewhere ? [] : [directory])
    const progress = values.progress === true ? new ProgressReporter(messages) : undefined
    const allOptions: VerifyOptions = {
      ...options,
      signal,
      ...(progress && { onProgress: (state) => progress.report(state) }),
      ...(output.kind === 'text' && {
        onProblem: (problem) => printProblem(messages, problem),
      }),
    }
    if (directory === '-' && values.state !== undefined)
      throw usageError('--state is not for an archive on standard input')
    const canKeep = directory !== '-' && !isElsewhere && values.archive === undefined
    const state = readStateRequest(values, context.env, { canKeep })
    const run = async (): Promise<{ report: VerifyReport; keep?: ReportToKeep['keep'] }> =>
      state !== undefined
        ? await verifyWithState(context, state, directory, allOptions)
        : isFetched
          ? { report: await verifyFetched(fetchCommand, values, allOptions) }
          : isInStore
            ? { report: await verifyStored(directory, values, allOptions, context) }
            : { report: await verify(directory, values, allOptions, stdin) }
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

/** Where the backup is of which a shard is to be verified. */
function placeOf(
  values: VerifyValues,
  operands: readonly string[],
  env: Readonly<NodeJS.ProcessEnv>,
): string | StoredBackupPlace | FetchedBackupPlace {
  refuseBesideFetching(values, operands)
  const fetchCommand = values['fetch-command']
  if (fetchCommand !== undefined) return { fetchCommand, ...readFetchTimeout(values) }
  const backup = readOnlyOperand(operands, 'backup directory')
  return namesStore([backup]) ? { address: backup, store: readStoreOptions(values, env) } : backup
}

function readFetchTimeout(values: VerifyValues): { readonly fetchTimeoutSeconds?: number } {
  return withoutUndefined({
    fetchTimeoutSeconds: readOptional(readIoSeconds, '--fetch-timeout', values['fetch-timeout']),
  })
}

function refuseBesideFetching(values: VerifyValues, operands: readonly string[]): void {
  if (values['fetch-command'] === undefined) {
    if (values['fetch-timeout'] !== undefined)
      throw usageError('--fetch-timeout is for use with --fetch-command')
    return
  }
  if (operands.length > 0) {
    throw usageError(
      'cannot specify both a backup directory and --fetch-command',
      'The command gives all of the backup.',
    )
  }
  const other = (['archive', 'state'] as const).find((name) => values[name] !== undefined)
  if (other !== undefined) throw usageError(`cannot specify both --${other} and --fetch-command`)
}

/** Whether the one archive that was named is what was seen, so that no more of the backup was wanted. */
function isAllThatWasAskedFor(values: VerifyValues, report: VerifyReport): boolean {
  const { archive } = values
  if (archive === undefined) return false
  return report.filesChecked > 0 || values['skip-checksums'] === true || archive.startsWith('pg_wal')
}
