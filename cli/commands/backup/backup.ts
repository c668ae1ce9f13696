import type { InferredOptionTypes } from 'yargs'
import { type BackupSettings, readBackupOptions } from './backup-options.js'
import { formatBackupProgress } from './backup-progress.js'
import { formatBottleneck, formatBackupSummary, formatWorkers } from './backup-text.js'
import { type ExitStatus, exitStatus, exitStatusOfVerdict } from '../../exit-status.js'
import { tooManyArguments } from '../../operands.js'
import { ProgressReporter } from '../../progress-reporter.js'
import { formatProblemCounts, formatSummary } from '../verify/verify-text.js'
import { type Command, type CommandContext, defineCommand } from '../command.js'
import type { BackupReport } from '../../../src/transfer/client/report.js'
import { DEFAULT_JOBS } from '../../../src/transfer/client/options.js'
import type { TakenBackup } from '../../../src/transfer/client/take-backup.js'
import type { WorkersAhead } from '../../../src/transfer/client/workers-ahead.js'
import type { VerifyReport } from '../../../src/verify/report.js'

const outputGroup = 'Options controlling the output:'
const generalGroup = 'General options:'
const connectionGroup = 'Connection options:'

// Those of pg_basebackup, and -j, --verify and --output.
const options = {
  pgdata: { alias: 'D', type: 'string', group: outputGroup, describe: 'receive base backup into directory' },
  format: { alias: 'F', type: 'string', group: outputGroup, describe: 'output format: p or plain' },
  'max-rate': {
    alias: 'r',
    type: 'string',
    group: outputGroup,
    describe: 'maximum transfer rate of all workers together (in kB/s, or use suffix "k" or "M")',
  },
  'write-recovery-conf': {
    alias: 'R',
    type: 'boolean',
    group: outputGroup,
    describe: 'write configuration for replication',
  },
  'tablespace-mapping': {
    alias: 'T',
    type: 'string',
    array: true,
    group: outputGroup,
    describe: 'OLDDIR=NEWDIR: relocate tablespace in OLDDIR to NEWDIR',
  },
  'wal-method': {
    alias: 'X',
    type: 'string',
    group: outputGroup,
    describe: 'include required WAL files with specified method: none, fetch or stream (the default)',
  },
  output: {
    choices: ['text', 'json'],
    default: 'text',
    type: 'string',
    group: outputGroup,
    describe: 'json: one document on standard output',
  },
  jobs: {
    alias: 'j',
    type: 'string',
    group: generalGroup,
    describe: 'workers that copy files, each with a connection of its own (default: 4)',
  },
  checkpoint: {
    alias: 'c',
    type: 'string',
    group: generalGroup,
    describe: 'fast or spread (the default) checkpointing',
  },
  label: { alias: 'l', type: 'string', group: generalGroup, describe: 'set backup label' },
  'no-clean': { alias: 'n', type: 'boolean', group: generalGroup, describe: 'do not clean up after errors' },
  'no-sync': {
    alias: 'N',
    type: 'boolean',
    group: generalGroup,
    describe: 'do not wait for changes to be written safely to disk',
  },
  progress: { alias: 'P', type: 'boolean', group: generalGroup, describe: 'show progress information' },
  slot: { alias: 'S', type: 'string', group: generalGroup, describe: 'replication slot to use' },
  verbose: { alias: 'v', type: 'boolean', group: generalGroup, describe: 'output verbose messages' },
  'manifest-checksums': {
    type: 'string',
    group: generalGroup,
    describe:
      'use algorithm for manifest checksums: CRC32C (the default), SHA224, SHA256, SHA384, SHA512, NONE',
  },
  'manifest-force-encode': {
    type: 'boolean',
    group: generalGroup,
    describe: 'hex encode all file names in manifest',
  },
  'no-manifest': {
    type: 'boolean',
    group: generalGroup,
    describe: 'suppress generation of backup manifest',
  },
  'no-slot': {
    type: 'boolean',
    group: generalGroup,
    describe: 'prevent creation of temporary replication slot',
  },
  'no-verify-checksums': { type: 'boolean', group: generalGroup, describe: 'do not verify checksums' },
  verify: {
    type: 'boolean',
    group: generalGroup,
    describe: 'read the whole backup again at the end, as "pbmanifest verify" does',
  },
  agent: {
    type: 'string',
    group: connectionGroup,
    describe:
      'HOST:PORT, socket directory or connection string of a "pbmanifest serve" that files are to come from',
  },
  dbname: { alias: 'd', type: 'string', group: connectionGroup, describe: 'connection string' },
  host: {
    alias: 'h',
    type: 'string',
    group: connectionGroup,
    describe: 'database server host or socket directory',
  },
  port: { alias: 'p', type: 'string', group: connectionGroup, describe: 'database server port number' },
  username: {
    alias: 'U',
    type: 'string',
    group: connectionGroup,
    describe: 'connect as specified database user',
  },
  'io-timeout': {
    type: 'string',
    group: connectionGroup,
    describe: 'seconds for which the other side may be silent when it has to answer (default: as TCP has it)',
  },
  'no-password': {
    alias: 'w',
    type: 'boolean',
    group: connectionGroup,
    describe: 'never prompt for password',
  },
  password: { alias: 'W', type: 'boolean', group: connectionGroup, describe: 'force password prompt' },
} as const

type Values = InferredOptionTypes<typeof options>

export const backupCommand: Command = defineCommand({
  name: 'backup',
  summary: 'take a parallel base backup of a running server',
  synopsis: '[OPTION]...',
  options,
  examples: [
    ['-h db1 -U backup -D /backups/monday -j 8 -c fast -P', '8 workers, with progress'],
    [
      '--agent db1:5433 -h db1 -D DIR',
      'files from the agent on db1, the stream of WAL from its database server',
    ],
    ['-D DIR -r 50M -T /srv/ts1=/backups/ts1', '50 MB/s at most, and a tablespace elsewhere'],
  ],
  run: async (context, values, operands) => {
    const [first] = operands
    if (first !== undefined) throw tooManyArguments(first)
    const taken = await takeBackup(context, values)
    const verification = await verifyResult(context, values, taken)
    return printResult(context, values, taken.report, verification)
  },
})

async function takeBackup(context: CommandContext, values: Values): Promise<TakenBackup> {
  const settings = readBackupOptions(values)
  const { WorkersAhead } = await import('../../../src/transfer/client/workers-ahead.js')
  // All that is done until they are needed is done beside their loading.
  const workers = new WorkersAhead(
    settings.jobs ?? DEFAULT_JOBS,
    values.agent === undefined ? 'sql' : 'agent',
  )
  try {
    return await takeBackupOnThreads(workers, settings, context, values)
  } finally {
    await workers.close()
  }
}

async function takeBackupOnThreads(
  workers: WorkersAhead,
  settings: BackupSettings,
  context: CommandContext,
  values: Values,
): Promise<TakenBackup> {
  const { messages, signal } = context
  const [{ prepareConnections }, { takeBackupWith }] = await Promise.all([
    import('./prepare-connections.js'),
    import('../../../src/transfer/client/take-backup.js'),
  ])
  const connections = await prepareConnections(values, settings.walMethod, context)
  const progress = values.progress
    ? new ProgressReporter(messages, undefined, formatBackupProgress)
    : undefined
  const taken = await takeBackupWith(workers, {
    ...settings,
    ...connections,
    signal,
    onNotice: ({ severity, message, hint }) => {
      if (severity === 'WARNING') messages.warning(message)
      else messages.note(message)
      if (hint !== undefined) messages.hint(hint)
    },
    ...(progress && { onProgress: (state) => progress.report(state) }),
    // As pg_basebackup; --verbose says it anyway.
    ...(progress &&
      !values.verbose && { onCheckpoint: () => messages.progress('waiting for checkpoint', false) }),
    ...(values.verbose && { onStep: (message) => messages.note(message) }),
  })
  progress?.finish()
  return taken
}

/**
 * The closing check: as `pbmanifest verify`, but for what was computed while writing, which is not computed again.
 *
 * @returns `undefined` without a manifest
 */
async function verifyResult(
  { messages, signal }: CommandContext,
  values: Values,
  { report, checksums }: TakenBackup,
): Promise<VerifyReport | undefined> {
  if (report.manifest === null) return undefined
  const { verifyBackup } = await import('../../../src/verify/verify-backup.js')
  return await verifyBackup(report.directory, {
    signal,
    jobs: report.jobs,
    noParseWal: report.wal.method === 'none',
    // What we have just written into them is not what the manifest says.
    ...(values['write-recovery-conf'] === true && { ignore: ['postgresql.auto.conf', 'standby.signal'] }),
    ...(values.verify !== true && { knownChecksums: checksums }),
    ...(values.output !== 'json' && {
      onProblem: ({ message, detail }) => {
        messages.error(message)
        if (detail !== undefined) messages.detail(detail)
      },
    }),
  })
}

function printResult(
  { print, printJson, messages }: CommandContext,
  values: Values,
  report: BackupReport,
  verification: VerifyReport | undefined,
): ExitStatus {
  const status = verification === undefined ? exitStatus.done : exitStatusOfVerdict(verification.verdict)
  if (values.output === 'json') {
    printJson(JSON.stringify({ ...report, verification: verification ?? null }, null, 2))
    return status
  }
  if (values.verbose) for (const line of formatWorkers(report)) messages.note(line)
  print(`base backup completed: ${formatBackupSummary(report)}\n${formatBottleneck(report)}`)
  for (const { message } of verification?.warnings ?? []) messages.warning(message)
  if (verification?.verdict === 'verified') {
    print(`backup successfully verified\n${formatSummary(verification)}`)
  } else if (verification !== undefined) {
    messages.note(formatSummary(verification))
    messages.note(`backup verification failed: ${formatProblemCounts(verification.problemCounts)}`)
  }
  return status
}
