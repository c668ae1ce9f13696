import type { RestoreOptions, RestoreSource } from '../../src/restore/options.js'
import type { RestoreReport } from '../../src/restore/report.js'
import { formatBytes, formatCount, formatSeconds } from '../../src/renderings/format.js'
import { parseTablespaceMapping } from '../../src/target/tablespace-mapping.js'
import { formatAsJson } from '../../src/schemas/validator.js'
import { isStoreAddress } from '../../src/source/store/store-address.js'
import { exitStatus } from '../exit-status.js'
import { readStoreOptions, refuseStoreOptions } from '../store-options.js'
import { readOnlyOperand } from '../operands.js'
import { readCount, readIoSeconds, readManifestChecksums, readOptional } from '../option-values.js'
import { formatShare, ProgressReporter } from '../progress-reporter.js'
import {
  addressingStyle,
  endpointUrl,
  manifestChecksums,
  progressOrQuiet,
  verboseOfStores,
  tablespaceMapping,
  textOrJson,
} from '../shared-options.js'
import { requireQuietOrProgress, requireQuietOrVerbose, usageError } from '../usage-error.js'
import { withoutUndefined } from '../without-undefined.js'
import { type Command, defineCommand, type OptionValues } from './command.js'

const options = {
  'From where:': {
    'fetch-command': {
      type: 'string',
      value: 'COMMAND',
      kind: 'text',
      describe: 'shell command that writes the part of a tar backup that is named %f to its output',
    },
    'fetch-timeout': {
      type: 'string',
      value: 'SECONDS',
      kind: 'number',
      describe: 'how long the fetch command may be silent (default: 300)',
    },
    'endpoint-url': endpointUrl,
    'addressing-style': addressingStyle,
    'manifest-path': {
      alias: 'm',
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'manifest that says what is right (default: that of the backup)',
    },
  },
  'To where:': {
    pgdata: {
      alias: 'D',
      type: 'string',
      value: 'DIRECTORY',
      kind: 'directory',
      describe: 'data directory to make (required)',
    },
    'tablespace-mapping': tablespaceMapping,
    'manifest-checksums': {
      ...manifestChecksums,
      describe: 'write a manifest with these checksums (default: that of the backup)',
    },
  },
  'How:': {
    'only-missing': {
      type: 'boolean',
      describe: 'go on with a restore that was ended: write what is missing or differs',
    },
    jobs: {
      alias: 'j',
      type: 'string',
      kind: 'number',
      value: 'N',
      describe: 'files, or archives, at a time (default: one per CPU)',
    },
    'no-parse-wal': { type: 'boolean', describe: 'do not look at the WAL' },
    'no-clean': { alias: 'n', type: 'boolean', describe: 'when it fails, leave what there is' },
    'no-sync': { alias: 'N', type: 'boolean', describe: 'do not wait for changes to be written to disk' },
  },
  'Output:': {
    ...progressOrQuiet,
    verbose: verboseOfStores,
    output: textOrJson,
  },
} as const

type Values = OptionValues<typeof options>

function readOptions(values: Values): RestoreOptions {
  const directory = values.pgdata
  if (directory === undefined) throw usageError('no target directory specified')
  requireQuietOrProgress(values)
  requireQuietOrVerbose(values)
  if (values['only-missing'] === true && values['manifest-checksums'] !== undefined) {
    throw usageError('cannot specify both --only-missing and --manifest-checksums')
  }
  return {
    directory,
    onlyMissing: values['only-missing'] === true,
    sync: values['no-sync'] !== true,
    keepAfterFailure: values['no-clean'] === true,
    ...withoutUndefined({
      manifestPath: values['manifest-path'],
      noParseWal: values['no-parse-wal'],
      tablespaceMappings: values['tablespace-mapping']?.map(parseTablespaceMapping),
      manifestChecksums: readManifestChecksums(values['manifest-checksums']),
      jobs: readOptional(readCount, '-j/--jobs', values.jobs),
    }),
  }
}

function readSource(
  values: Values,
  operands: readonly string[],
  env: Readonly<NodeJS.ProcessEnv>,
): RestoreSource {
  const [address] = operands
  if (address !== undefined && operands.length === 1 && isStoreAddress(address)) {
    const other = (['fetch-command', 'fetch-timeout'] as const).find((name) => values[name] !== undefined)
    if (other !== undefined) throw usageError(`--${other} is not for a backup in an object store`)
    return { address, store: readStoreOptions(values, env) }
  }
  refuseStoreOptions(values)
  const fetchCommand = values['fetch-command']
  if (fetchCommand === undefined) {
    if (values['fetch-timeout'] !== undefined) {
      throw usageError('--fetch-timeout is for use with --fetch-command')
    }
    return { directory: readOnlyOperand(operands, 'backup directory') }
  }
  if (operands.length > 0) throw usageError('cannot specify both a backup directory and --fetch-command')
  const fetchTimeoutSeconds = readOptional(readIoSeconds, '--fetch-timeout', values['fetch-timeout'])
  return { fetchCommand, ...withoutUndefined({ fetchTimeoutSeconds }) }
}

export const restoreCommand: Command = defineCommand({
  name: 'restore',
  summary: 'restore a backup into a new data directory',
  synopsis: '[OPTION]... -D DIRECTORY BACKUP',
  operands: 'directory',
  options,
  examples: [
    ['-D /var/lib/postgresql/18/new BACKUP', 'in plain or tar format'],
    ['-T /fast=/new/fast -D /new/data BACKUP', 'with a tablespace that goes elsewhere'],
    ['-D /new/data s3://BUCKET/backups/monday', 'from an object store'],
    ["-D /new/data --fetch-command 'ssh vault cat /backups/monday/%f'", 'from another machine'],
  ],
  run: async (context, values, operands) => {
    const { print, printJson, messages, signal } = context
    const restoreOptions = readOptions(values)
    const source = readSource(values, operands, context.env)
    const isQuiet = values.quiet === true
    const { restoreBackup } = await import('../../src/restore/restore-backup.js')
    const progress =
      values.progress === true
        ? new ProgressReporter(messages, undefined, (state) => `${formatShare(state)} restored`)
        : undefined
    const report = await restoreBackup(source, {
      ...restoreOptions,
      signal,
      ...(progress && { onProgress: (state) => progress.report(state) }),
      ...(values.verbose === true && { onRetry: (words) => messages.note(words) }),
      ...(!isQuiet && { onNotice: (message) => messages.warning(message) }),
    })
    progress?.finish()
    if (values.output === 'json') {
      printJson(formatAsJson('restore-report', report))
    } else if (!isQuiet) print(`backup restored\n${formatSummary(report)}`)
    return exitStatus.done
  },
})

function formatSummary({
  files,
  bytes,
  unlistedFiles,
  walRecords,
  notChecked,
  seconds,
}: RestoreReport): string {
  const done = [
    `${formatCount(files, 'file')}, ${formatBytes(bytes)} compared with the manifest`,
    `${formatCount(unlistedFiles, 'file')} besides`,
    `${formatCount(walRecords, 'WAL record')} read`,
  ].join('; ')
  const left = notChecked.map(({ what }) => what.replaceAll('-', ' ')).join(', ')
  return `${done} in ${formatSeconds(seconds)}${left === '' ? '' : `; not checked: ${left}`}`
}
