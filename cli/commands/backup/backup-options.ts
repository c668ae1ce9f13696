import { parseChecksumAlgorithm } from '../../../src/manifest/checksum/checksum-algorithm.js'
import {
  type BackupOptions,
  MAX_JOBS,
  type WalMethod,
  walMethods,
} from '../../../src/transfer/client/options.js'
import { invalidValue, readOptional } from '../../option-values.js'
import { readRate } from './rate.js'
import { parseTablespaceMapping } from '../../../src/transfer/client/target/tablespace-mapping.js'
import { usageError } from '../../usage-error.js'
import { withoutUndefined } from '../../without-undefined.js'

/** The values of the options of `pbmanifest backup`, as the command line has them. */
export interface BackupValues {
  readonly pgdata: string | undefined
  readonly format: string | undefined
  readonly 'max-rate': string | undefined
  readonly 'write-recovery-conf': boolean | undefined
  readonly 'tablespace-mapping': readonly string[] | undefined
  readonly 'wal-method': string | undefined
  readonly jobs: string | undefined
  readonly checkpoint: string | undefined
  readonly label: string | undefined
  readonly 'no-clean': boolean | undefined
  readonly 'no-sync': boolean | undefined
  readonly slot: string | undefined
  readonly 'manifest-checksums': string | undefined
  readonly 'manifest-force-encode': boolean | undefined
  readonly 'no-manifest': boolean | undefined
  readonly 'no-slot': boolean | undefined
  readonly 'no-verify-checksums': boolean | undefined
  readonly verify: boolean | undefined
  readonly 'no-password': boolean | undefined
  readonly password: boolean | undefined
}

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
