import { backupOptions, type BackupValues, refusedBackupOptions } from './backup-options.js'
import { type BackupSettings, readBackupOptions } from './read-backup-options.js'
import {
  formatBackupProgress,
  formatBackupSummary,
  formatBottleneck,
  formatChanges,
  formatWorkers,
} from './backup-text.js'
import { type ExitStatus, exitStatus, exitStatusOfVerdict } from '../../exit-status.js'
import { compileLate } from '../../compile-late.js'
import { refuseOperands } from '../../operands.js'
import { ProgressReporter } from '../../progress-reporter.js'
import { printProblem, printVerdict } from '../verify/print-verdict.js'
import { type Command, type CommandContext, defineCommand } from '../command.js'
import type { BackupReport } from '../../../src/transfer/client/report.js'
import type { BackupProgress } from '../../../src/transfer/client/options.js'
import { DEFAULT_JOBS, isStandardOutput, isStored } from '../../../src/transfer/client/options.js'
import type { TakenBackup } from '../../../src/transfer/client/take-backup.js'
import type { PrestartedWorkers } from '../../../src/transfer/client/prestarted-workers.js'
import type { VerifyOptions } from '../../../src/verify/options.js'
import { readStoreOptions } from '../../store-options.js'
import type { VerifyReport } from '../../../src/verify/report.js'

export const backupCommand: Command = defineCommand({
  name: 'backup',
  summary: 'take a parallel base backup of a running server',
  synopsis: '[OPTION]...',
  operands: 'none',
  options: backupOptions,
  refused: refusedBackupOptions,
  examples: [
    ['-h db1 -U backup -D /backups/monday -j 8 -c fast -P', '8 workers, with progress'],
    [
      '--agent db1:5433 -h db1 -D DIR',
      'files from the agent on db1, the stream of WAL from its database server',
    ],
    ['-h db1 -D DIR -Ft', 'archives: base.tar, one for each tablespace, and pg_wal.tar'],
    ['-h db1 -D s3://BUCKET/backups/monday', 'into an object store, each file an object'],
    ['-D DIR -r 50M -T /srv/ts1=/backups/ts1', '50 MB/s at most, and a tablespace elsewhere'],
  ],
  run: async (context, values, operands) => {
    refuseOperands(operands)
    const taken = await takeBackup(context, values)
    if (isStandardOutput(taken.report)) return tellResult(context, values, taken.report)
    const verification = await verifyResult(context, values, taken)
    return printResult(context, values, taken.report, verification)
  },
})

async function takeBackup(context: CommandContext, values: BackupValues): Promise<TakenBackup> {
  const warnings: string[] = []
  const settings = readBackupOptions(values, (message) => warnings.push(message))
  for (const warning of warnings) context.messages.warning(warning)
  const { jobs = DEFAULT_JOBS, compression } = settings
  compileLate()
  if (compression !== undefined) allowThreads(jobs)
  const { PrestartedWorkers } = await import('../../../src/transfer/client/prestarted-workers.js')
  // All that is done until they are needed is done beside their loading.
  const workers = new PrestartedWorkers(jobs, values.agent === undefined ? 'sql' : 'agent')
  try {
    return await takeBackupOnThreads(workers, settings, context, values)
  } finally {
    await workers.close()
  }
}

/** What compresses runs on threads of libuv, of which there are four, unless this says another number before the first is needed. */
function allowThreads(jobs: number): void {
  if (jobs > UV_THREADS) process.env['UV_THREADPOOL_SIZE'] ??= String(jobs)
}

const UV_THREADS = 4

async function takeBackupOnThreads(
  workers: PrestartedWorkers,
  settings: BackupSettings,
  context: CommandContext,
  values: BackupValues,
): Promise<TakenBackup> {
  const { messages, signal, env } = context
  const [{ prepareConnections }, { takeBackupWith }] = await Promise.all([
    import('./prepare-connections.js'),
    import('../../../src/transfer/client/take-backup.js'),
  ])
  const connections = await prepareConnections(values, settings.walMethod, context)
  if (isStored(settings)) warnOfUseless(messages, values)
  const progress = values.progress
    ? new ProgressReporter<BackupProgress>(messages, undefined, (state) =>
        formatBackupProgress(state, values.verbose === true),
      )
    : undefined
  let tablespacesDone = 0
  const taken = await takeBackupWith(workers, {
    ...settings,
    ...connections,
    ...(isStored(settings) && { store: readStoreOptions(values, env) }),
    signal,
    onNotice: context.tellNotice,
    ...(progress && {
      onProgress: (state) => {
        if (state.file === undefined) return progress.finish(state)
        progress.report(state, state.tablespacesDone > tablespacesDone)
        tablespacesDone = state.tablespacesDone
      },
    }),
    // As pg_basebackup; --verbose says it anyway.
    ...(progress &&
      !values.verbose && { onCheckpoint: () => messages.progress('waiting for checkpoint', false) }),
    ...(values.verbose && { onStep: (message) => messages.note(message) }),
  })
  return taken
}

/** Options that say how a directory is written. */
function warnOfUseless(messages: CommandContext['messages'], values: BackupValues): void {
  const useless = [
    ['tablespace-mapping', 'tablespaces are kept below pg_tblspc'],
    ['no-sync', 'what it has taken is durable'],
    ['sync-method', 'what it has taken is durable'],
  ] as const
  for (const [name, why] of useless) {
    if (values[name] !== undefined) messages.warning(`--${name} has no effect in an object store: ${why}`)
  }
}

/**
 * The closing check: as `pbmanifest verify`, but for what was computed while writing, which is not computed again.
 *
 * @returns `undefined` without a manifest
 */
async function verifyResult(
  { messages, signal, env }: CommandContext,
  values: BackupValues,
  { report, checksums, archives }: TakenBackup,
): Promise<VerifyReport | undefined> {
  if (report.manifest === null) return undefined
  const options: VerifyOptions = {
    signal,
    jobs: report.jobs,
    noParseWal: report.wal.method === 'none',
    // What we have just written into them is not what the manifest says.
    ...(values['write-recovery-conf'] === true && { ignore: ['postgresql.auto.conf', 'standby.signal'] }),
    format: report.format,
    ...(values.verify !== true && report.format === 'plain' && { knownChecksums: checksums }),
    ...(values.verify !== true &&
      archives !== undefined && { knownChecksums: checksums, writtenArchives: archives }),
    ...(values.output !== 'json' && {
      onProblem: (problem) => printProblem(messages, problem),
    }),
  }
  if (isStored(report)) {
    const { verifyStoredBackup } = await import('../../../src/verify/verify-stored-backup.js')
    return await verifyStoredBackup(report.directory, {
      ...options,
      store: readStoreOptions(values, env),
      ...(values.verbose === true && { onRetry: (words) => messages.note(words) }),
    })
  }
  const { verifyBackup } = await import('../../../src/verify/verify-backup.js')
  return await verifyBackup(report.directory, options)
}

/** Nobody keeps the archive, so it cannot be verified here, and standard output is not for words. */
function tellResult({ messages }: CommandContext, values: BackupValues, report: BackupReport): ExitStatus {
  if (values.verbose) {
    for (const line of [...formatWorkers(report), formatBackupSummary(report)]) messages.note(line)
  }
  return exitStatus.done
}

function printResult(
  { print, printJson, messages }: CommandContext,
  values: BackupValues,
  report: BackupReport,
  verification: VerifyReport | undefined,
): ExitStatus {
  const status = verification === undefined ? exitStatus.done : exitStatusOfVerdict(verification.verdict)
  if (values.output === 'json') {
    printJson(JSON.stringify({ ...report, verification: verification ?? null }, null, 2))
    return status
  }
  if (values.verbose) for (const line of formatWorkers(report)) messages.note(line)
  const lines = [formatBackupSummary(report), ...formatChanges(report), formatBottleneck(report)]
  print(`base backup completed: ${lines.join('\n')}`)
  if (verification !== undefined) printVerdict({ print, messages }, verification)
  return status
}
