import { isAbsolute, posix } from 'node:path'
import { parseWholeNumber } from '../../../src/manifest/manifest-parts.js'
import {
  type BackupFormat,
  type BackupOptions,
  MAX_JOBS,
  MAX_RETRIES,
  STANDARD_OUTPUT,
  type WalMethod,
  walMethods,
} from '../../../src/transfer/client/options.js'
import { isStoreAddress, parseStoreAddress } from '../../../src/source/store/store-address.js'
import { parseTablespaceMapping } from '../../../src/target/tablespace-mapping.js'
import {
  invalidValue,
  readBackupFormat,
  readManifestChecksums,
  readOptional,
  readSyncMethod,
} from '../../option-values.js'
import { readRate } from '../../read-rate.js'
import { refuseStoreOptions } from '../../store-options.js'
import { usageError } from '../../usage-error.js'
import { withoutUndefined } from '../../without-undefined.js'
import type { BackupValues } from './backup-options.js'
import { readCompression } from './read-compression.js'

/** All of the command line but for the connections, which are worked out later. */
export type BackupSettings = Omit<BackupOptions, 'connection' | 'agent'>

/**
 * What the command line says. The refusals are those of pg_basebackup, and `warn` is told what has no effect.
 *
 * @throws {@link PbManifestError} `USAGE`
 */
export function readBackupOptions(values: BackupValues, warn: (message: string) => void): BackupSettings {
  checkTarget(values)
  if (values.pgdata === undefined) throw usageError('must specify output directory or backup target')
  const format = readBackupFormat(values.format, 'output') ?? 'plain'
  if (isStoreAddress(values.pgdata)) checkStored(values, format)
  else refuseStoreOptions(values)
  if (format === 'tar') checkTar(values)
  const walMethod = readWalMethod(values['wal-method'])
  checkConflicts(values, walMethod)
  if (format === 'tar' && values['tablespace-mapping'] !== undefined) {
    warn('--tablespace-mapping has no effect in tar format: tablespace_map says where tablespaces are')
  }
  return {
    directory: values.pgdata,
    format,
    walMethod,
    useTemporarySlot: values['no-slot'] !== true,
    writeRecoveryConf: values['write-recovery-conf'] === true,
    cleanUp: values['no-clean'] !== true,
    sync: values['no-sync'] !== true,
    manifest: values['no-manifest'] ? 'no' : values['manifest-force-encode'] ? 'force-encode' : 'yes',
    verifyPageChecksums: values['no-verify-checksums'] !== true,
    ...readOptional((_name, text) => readCompression(text, format, warn), '-Z', compressionOf(values)),
    ...withoutUndefined({
      retries: readOptional(readRetries, '--retries', values.retries),
      jobs: readOptional(readJobs, '-j/--jobs', values.jobs),
      tablespaceMappings: values['tablespace-mapping']?.map(parseTablespaceMapping),
      incremental: values.incremental,
      slot: values.slot,
      createSlot: values['create-slot'],
      walDirectory: readWalDirectory(values.waldir),
      syncMethod: readSyncMethod(values['sync-method']),
      statusInterval: readOptional(readStatusInterval, '-s/--status-interval', values['status-interval']),
      checkpoint: readCheckpoint(values.checkpoint),
      label: values.label,
      maxRate: values['max-rate'] === undefined ? undefined : readRate(values['max-rate']),
      manifestChecksums: readManifestChecksums(values['manifest-checksums']),
    }),
  }
}

/** A server would write such a backup itself, from one process, where nobody could verify it. */
function checkTarget({ target, format, pgdata }: BackupValues): void {
  if (target === undefined || target === 'client') return
  if (format !== undefined) throw usageError('cannot specify both format and backup target')
  if (pgdata !== undefined) throw usageError('cannot specify both output directory and backup target')
  const [name = ''] = target.split(':', 1)
  switch (name) {
    case 'server':
      throw usageError(
        'backup target "server" is not supported',
        'The workers write the backup on this machine: give its directory with -D, or run pbmanifest on the server.',
      )
    case 'blackhole':
      throw usageError(
        'backup target "blackhole" is not supported',
        'A backup that nobody keeps cannot be verified: to measure the speed, take one into a directory, and remove it.',
      )
    default:
      throw usageError(`unrecognized target: "${name}"`)
  }
}

/** Of the two spellings, the one that says more. */
function compressionOf({ compress, gzip }: BackupValues): string | undefined {
  return compress ?? (gzip === true ? 'gzip' : undefined)
}

/** In the words of pg_basebackup. */
function checkTar({ waldir, pgdata, output, verify, 'wal-method': walMethod }: BackupValues): void {
  if (waldir !== undefined) throw usageError('WAL directory location can only be specified in plain mode')
  if (pgdata !== STANDARD_OUTPUT) return
  if (readWalMethod(walMethod) === 'stream') {
    throw usageError('cannot stream write-ahead logs in tar mode to stdout', 'Use -X fetch, or none.')
  }
  if (output === 'json') throw usageError('--output=json cannot be used where standard output is the archive')
  if (verify) throw usageError('--verify cannot be used where standard output is the archive')
}

function checkStored({ pgdata = '', waldir }: BackupValues, format: BackupFormat): void {
  parseStoreAddress(pgdata)
  if (format === 'tar') {
    throw usageError(
      'a backup in an object store is taken in plain format, each file an object',
      'Leave out -Ft. For archives, pipe one: -Ft -X fetch -D - ... | aws s3 cp - s3://BUCKET/PREFIX/base.tar',
    )
  }
  if (waldir !== undefined) {
    throw usageError('WAL directory location cannot be specified for a backup in an object store')
  }
}

function readWalDirectory(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  if (!isAbsolute(text)) throw usageError('WAL directory location must be an absolute path')
  return posix.normalize(text).replace(/(?<=.)\/$/, '')
}

/** As many seconds as pg_basebackup can count in milliseconds. */
const MAX_STATUS_INTERVAL = 2_147_483n

/** @see src/fe_utils/option_utils.c (`option_parse_int`) */
function readStatusInterval(name: string, text: string): number {
  const seconds = parseWholeNumber(text.trim())
  if (seconds === undefined) throw usageError(`invalid value "${text}" for option ${name}`)
  if (seconds > MAX_STATUS_INTERVAL) throw usageError(`${name} must be in range 0..${MAX_STATUS_INTERVAL}`)
  return Number(seconds)
}

function readWalMethod(text: string | undefined): WalMethod {
  if (text === undefined) return 'stream'
  // pg_basebackup takes the first letter, too.
  const method = walMethods.find((method) => text === method || text === method.charAt(0))
  if (method !== undefined) return method
  throw usageError(`invalid wal-method option "${text}", must be "fetch", "stream", or "none"`)
}

function readCheckpoint(text: string | undefined): 'fast' | 'spread' | undefined {
  const word = text?.toLowerCase()
  if (word === undefined || word === 'fast' || word === 'spread') return word
  throw usageError(`invalid checkpoint argument "${text}", must be "fast" or "spread"`)
}

function readJobs(name: string, text: string): number {
  const jobs = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0
  if (jobs < 1 || jobs > MAX_JOBS) throw invalidValue(name, text, `a whole number from 1 to ${MAX_JOBS}`)
  return jobs
}

function readRetries(name: string, text: string): number {
  const retries = parseWholeNumber(text)
  if (retries !== undefined && retries <= MAX_RETRIES) return Number(retries)
  throw invalidValue(name, text, `a whole number from 0 to ${MAX_RETRIES}`)
}

/** In the words of pg_basebackup. */
function checkConflicts(values: BackupValues, walMethod: WalMethod): void {
  if (values.slot !== undefined && walMethod !== 'stream') {
    throw usageError('replication slots can only be used with WAL streaming')
  }
  if (values.slot !== undefined && values['no-slot']) {
    throw usageError('--no-slot cannot be used with slot name')
  }
  if (values['create-slot']) {
    if (values.slot === undefined) throw usageError('--create-slot needs a slot to be specified using --slot')
    if (values['no-slot']) throw incompatible('--create-slot', '--no-slot')
  }
  if (values.progress && values['no-estimate-size']) throw incompatible('--progress', '--no-estimate-size')
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
