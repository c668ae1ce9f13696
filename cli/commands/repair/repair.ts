import { isAbsolute, resolve } from 'node:path'
import { parsePositiveUnsignedInt32 } from '../../../src/postgres/unsigned-int.js'
import type { RepairOptions, StatedLink } from '../../../src/repair/options.js'
import type { RepairReport } from '../../../src/repair/report.js'
import { formatAsJson } from '../../../src/schemas/validator.js'
import { isStoreAddress } from '../../../src/source/store/store-address.js'
import { type ExitStatus, exitStatus } from '../../exit-status.js'
import { readOnlyOperand } from '../../operands.js'
import { invalidValue, readCount, readIoSeconds, readOptional } from '../../option-values.js'
import {
  addressingStyle,
  endpointUrl,
  progressOrQuiet,
  textOrJson,
  verboseOfStores,
} from '../../shared-options.js'
import { readStoreOptions, refuseStoreOptions } from '../../store-options.js'
import {
  requireAllowedSigners,
  requireQuietOrProgress,
  requireQuietOrVerbose,
  usageError,
} from '../../usage-error.js'
import { withoutUndefined } from '../../without-undefined.js'
import { type Command, defineCommand, type OptionValues } from '../command.js'
import { itemPrinter, printCopy, printReport, StepProgress } from './repair-text.js'

const options = {
  'From where:': {
    from: {
      type: 'string',
      kind: 'directory',
      value: 'COPY',
      describe: 'another copy of the backup, in plain or tar format, or s3:// (required, or a command)',
    },
    'fetch-command': {
      type: 'string',
      value: 'COMMAND',
      kind: 'text',
      describe: 'shell command that writes the part of a copy in tar format that is named %f to its output',
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
    ...progressOrQuiet,
    verbose: verboseOfStores,
    output: textOrJson,
  },
} as const

type Values = OptionValues<typeof options>

function readOptions(values: Values, env: Readonly<NodeJS.ProcessEnv>): Omit<RepairOptions, 'signal'> {
  const from = readCopy(values, env)
  if (values.write === true && values['dry-run'] === true) {
    throw usageError('cannot specify both --write and --dry-run')
  }
  requireQuietOrProgress(values)
  requireQuietOrVerbose(values)
  if (values['manifest-from-copy'] === true && values['manifest-path'] !== undefined) {
    throw usageError('cannot specify both --manifest-from-copy and -m/--manifest-path')
  }
  requireAllowedSigners(values)
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

function readCopy(values: Values, env: Readonly<NodeJS.ProcessEnv>): RepairOptions['from'] {
  const { from, 'fetch-command': fetchCommand, 'fetch-timeout': timeout } = values
  if (timeout !== undefined && fetchCommand === undefined) {
    throw usageError('--fetch-timeout is for use with --fetch-command')
  }
  if (from !== undefined && fetchCommand !== undefined) {
    throw usageError('cannot specify both --from and --fetch-command')
  }
  if (from !== undefined && isStoreAddress(from))
    return { address: from, store: readStoreOptions(values, env) }
  refuseStoreOptions(values)
  if (from !== undefined) return from
  if (fetchCommand === undefined)
    throw usageError('no copy specified', 'Say with --from=DIRECTORY from where to repair.')
  const fetchTimeoutSeconds = readOptional(readIoSeconds, '--fetch-timeout', timeout)
  return { fetchCommand, ...withoutUndefined({ fetchTimeoutSeconds }) }
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
    ['--from s3://BUCKET/PREFIX --write BACKUP', 'from an object store'],
    ['--from COPY --write -T 16384=/backups/fast BACKUP', 'with a tablespace that lies elsewhere'],
  ],
  run: async (context, values, operands) => {
    const { printJson, messages, signal } = context
    const repairOptions = readOptions(values, context.env)
    const directory = readOnlyOperand(operands, 'backup directory')
    const isJson = values.output === 'json'
    const isQuiet = values.quiet === true
    const { repairBackup } = await import('../../../src/repair/repair-backup.js')
    const progress = values.progress === true ? new StepProgress(messages) : undefined
    const report = await repairBackup(directory, {
      ...repairOptions,
      signal,
      ...(values.verbose === true && { onRetry: (words) => messages.note(words) }),
      ...(progress && { onProgress: (state) => progress.report(state) }),
      ...(!isJson && { onItem: itemPrinter(context, isQuiet) }),
      ...(!isJson && !isQuiet && { onCopy: (copy) => printCopy(messages, copy) }),
    })
    progress?.finish()
    if (isJson) {
      printJson(formatAsJson('repair-report', report))
    } else printReport(context, report, isQuiet)
    return exitStatusOf(report)
  },
})

function exitStatusOf({ verdict, items }: RepairReport): ExitStatus {
  if (verdict === 'verified') return exitStatus.done
  if (verdict === 'partial') return exitStatus.partial
  const couldNotWrite = items.some(({ reason }) => reason?.kind === 'write-failed')
  return couldNotWrite ? exitStatus.inputOutput : exitStatus.problems
}
