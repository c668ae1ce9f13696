import { parseChecksumAlgorithm } from '../../../src/manifest/checksum/checksum-algorithm.js'
import {
  type BackupOptions,
  MAX_JOBS,
  type WalMethod,
  walMethods,
} from '../../../src/transfer/client/options.js'
import { invalidValue, readOptional } from '../../option-values.js'
import { readRate } from '../../read-rate.js'
import { parseTablespaceMapping } from '../../../src/target/tablespace-mapping.js'
import { usageError } from '../../usage-error.js'
import type { OptionValues } from '../command.js'
import { withoutUndefined } from '../../without-undefined.js'

/** Those of pg_basebackup, and -j, --verify and --output. */
export const backupOptions = {
  'Options controlling the output:': {
    pgdata: {
      alias: 'D',
      type: 'string',
      value: 'DIRECTORY',
      kind: 'directory',
      describe: 'receive base backup into directory',
    },
    format: {
      alias: 'F',
      type: 'string',
      value: 'p',
      kind: 'text',
      suggestions: ['plain'],
      describe: 'output format: plain, the only one',
    },
    'max-rate': {
      alias: 'r',
      type: 'string',
      value: 'RATE',
      kind: 'text',
      describe: 'maximum transfer rate of all workers together (in kB/s, or use suffix "k" or "M")',
    },
    'write-recovery-conf': {
      alias: 'R',
      type: 'boolean',
      describe: 'write configuration for replication',
    },
    'tablespace-mapping': {
      alias: 'T',
      type: 'string',
      array: true,
      value: 'OLDDIR=NEWDIR',
      kind: 'text',
      describe: 'relocate tablespace in OLDDIR to NEWDIR',
    },
    'wal-method': {
      alias: 'X',
      type: 'string',
      value: 'none|fetch|stream',
      kind: 'text',
      suggestions: ['none', 'fetch', 'stream'],
      describe: 'include required WAL files with specified method (default: stream)',
    },
    output: {
      choices: ['text', 'json'],
      default: 'text',
      type: 'string',
      value: 'text|json',
      describe: 'result as text, or one JSON document on standard output',
    },
  },
  'General options:': {
    jobs: {
      alias: 'j',
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'workers that copy files, each with a connection of its own (default: 4)',
    },
    checkpoint: {
      alias: 'c',
      type: 'string',
      value: 'fast|spread',
      kind: 'text',
      suggestions: ['fast', 'spread'],
      describe: 'set fast or spread (default) checkpointing',
    },
    label: { alias: 'l', type: 'string', value: 'LABEL', kind: 'text', describe: 'set backup label' },
    'no-clean': { alias: 'n', type: 'boolean', describe: 'do not clean up after errors' },
    'no-sync': {
      alias: 'N',
      type: 'boolean',
      describe: 'do not wait for changes to be written safely to disk',
    },
    progress: { alias: 'P', type: 'boolean', describe: 'show progress information' },
    slot: {
      alias: 'S',
      type: 'string',
      value: 'SLOTNAME',
      kind: 'text',
      describe: 'replication slot to use',
    },
    verbose: { alias: 'v', type: 'boolean', describe: 'output verbose messages' },
    'manifest-checksums': {
      type: 'string',
      value: 'ALGORITHM',
      kind: 'text',
      suggestions: ['NONE', 'CRC32C', 'SHA224', 'SHA256', 'SHA384', 'SHA512'],
      describe: 'CRC32C (default), SHA224, SHA256, SHA384, SHA512 or NONE',
    },
    'manifest-force-encode': {
      type: 'boolean',
      describe: 'hex encode all file names in manifest',
    },
    'no-manifest': {
      type: 'boolean',
      describe: 'suppress generation of backup manifest',
    },
    'no-slot': {
      type: 'boolean',
      describe: 'prevent creation of temporary replication slot',
    },
    'no-verify-checksums': { type: 'boolean', describe: 'do not verify checksums' },
    verify: {
      type: 'boolean',
      describe: 'read the whole backup again at the end, as "pbmanifest verify" does',
    },
  },
  'Connection options:': {
    agent: {
      type: 'string',
      value: 'CONNSTR',
      kind: 'text',
      describe: 'HOST:PORT, socket directory or connection string of a "pbmanifest serve"',
    },
    dbname: {
      alias: 'd',
      type: 'string',
      value: 'CONNSTR',
      kind: 'text',
      describe: 'connection string',
    },
    host: {
      alias: 'h',
      type: 'string',
      value: 'HOSTNAME',
      kind: 'text',
      describe: 'database server host or socket directory',
    },
    port: {
      alias: 'p',
      type: 'string',
      value: 'PORT',
      kind: 'number',
      describe: 'database server port number',
    },
    username: {
      alias: 'U',
      type: 'string',
      value: 'NAME',
      kind: 'text',
      describe: 'connect as specified database user',
    },
    'io-timeout': {
      type: 'string',
      value: 'SECONDS',
      kind: 'number',
      describe: 'how long the other side may be silent when it has to answer (default: as TCP has it)',
    },
    'no-password': {
      alias: 'w',
      type: 'boolean',
      describe: 'never prompt for password',
    },
    password: { alias: 'W', type: 'boolean', describe: 'force password prompt' },
  },
} as const

/** The values of the options of `pbmanifest backup`, as the command line has them. */
export type BackupValues = OptionValues<typeof backupOptions>

/** Those of them that say how to connect. */
export type ConnectionValues = OptionValues<Pick<typeof backupOptions, 'Connection options:'>>

/** All of the command line but for the connections, which are worked out later. */
export type BackupSettings = Omit<BackupOptions, 'connection' | 'agent'>

/**
 * What the command line says. The refusals are those of pg_basebackup.
 *
 * @throws {@link PbManifestError} `USAGE`
 */
export function readBackupOptions(values: BackupValues): BackupSettings {
  if (values.pgdata === undefined) throw usageError('no target directory specified')
  checkFormat(values.format)
  const walMethod = readWalMethod(values['wal-method'])
  checkConflicts(values, walMethod)
  return {
    directory: values.pgdata,
    walMethod,
    useTemporarySlot: values['no-slot'] !== true,
    writeRecoveryConf: values['write-recovery-conf'] === true,
    cleanUp: values['no-clean'] !== true,
    sync: values['no-sync'] !== true,
    manifest: values['no-manifest'] ? 'no' : values['manifest-force-encode'] ? 'force-encode' : 'yes',
    verifyPageChecksums: values['no-verify-checksums'] !== true,
    ...withoutUndefined({
      jobs: readOptional(readJobs, '-j/--jobs', values.jobs),
      tablespaceMappings: values['tablespace-mapping']?.map(parseTablespaceMapping),
      slot: values.slot,
      checkpoint: readCheckpoint(values.checkpoint),
      label: values.label,
      maxRate: values['max-rate'] === undefined ? undefined : readRate(values['max-rate']),
      manifestChecksums: readAlgorithm(values['manifest-checksums']),
    }),
  }
}

function checkFormat(format: string | undefined): void {
  switch (format) {
    case undefined:
    case 'p':
    case 'plain':
      return
    case 't':
    case 'tar':
      throw usageError(
        'tar format is not supported',
        'Take the backup as a directory: each worker writes its files there.',
      )
    default:
      throw usageError(`invalid output format "${format}", must be "plain" or "tar"`)
  }
}

function readWalMethod(text: string | undefined): WalMethod {
  if (text === undefined) return 'stream'
  // pg_basebackup takes the first letter, too.
  const method = walMethods.find((method) => text === method || text === method.charAt(0))
  if (method !== undefined) return method
  throw usageError(`invalid wal-method option "${text}", must be "fetch", "stream", or "none"`)
}

function readCheckpoint(text: string | undefined): 'fast' | 'spread' | undefined {
  if (text === undefined || text === 'fast' || text === 'spread') return text
  throw usageError(`invalid checkpoint argument "${text}", must be "fast" or "spread"`)
}

function readJobs(name: string, text: string): number {
  const jobs = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0
  if (jobs < 1 || jobs > MAX_JOBS) throw invalidValue(name, text, `a whole number from 1 to ${MAX_JOBS}`)
  return jobs
}

function readAlgorithm(text: string | undefined): string | undefined {
  if (text !== undefined && parseChecksumAlgorithm(text) === undefined) {
    throw usageError(`unrecognized checksum algorithm: "${text}"`)
  }
  return text
}

/** In the words of pg_basebackup. */
function checkConflicts(values: BackupValues, walMethod: WalMethod): void {
  if (values.slot !== undefined && walMethod !== 'stream') {
    throw usageError('replication slots can only be used with WAL streaming')
  }
  if (values.slot !== undefined && values['no-slot']) {
    throw usageError('--no-slot cannot be used with slot name')
  }
  if (values['no-manifest'] && values['manifest-checksums'] !== undefined) {
    throw incompatible('--no-manifest', '--manifest-checksums')
  }
  if (values['no-manifest'] && values['manifest-force-encode']) {
    throw incompatible('--no-manifest', '--manifest-force-encode')
  }
  // There is nothing to verify against.
  if (values['no-manifest'] && values.verify) throw incompatible('--no-manifest', '--verify')
  if (values['no-password'] && values.password) throw incompatible('-w/--no-password', '-W/--password')
}

function incompatible(one: string, other: string): Error {
  return usageError(`${one} and ${other} are incompatible options`)
}
