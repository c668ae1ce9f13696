import type { Compression } from '../../../src/files/compression/compression.js'
import type { CompressionSettings } from '../../../src/files/compression/piece-compressor.js'
import type { BackupFormat } from '../../../src/transfer/client/options.js'
import { usageError } from '../../usage-error.js'

/** Levels as pg_basebackup knows them. @see src/common/compression.c (`validate_compress_specification`) */
const levels = {
  gzip: { least: 1, most: 9, usual: -1 },
  lz4: { least: 1, most: 12, usual: 0 },
  zstd: { least: -131_072, most: 22, usual: 3 },
} as const

/**
 * Reads `[client-|server-]METHOD[:DETAIL]`, or a level of gzip alone. Where the peer compresses on the server, the archives are
 * the same, but the files come as they are.
 *
 * @throws {@link PbManifestError} `USAGE`, in the words of pg_basebackup
 * @see src/bin/pg_basebackup/pg_basebackup.c (`backup_parse_compress_options`)
 */
export function readCompression(text: string, format: BackupFormat): CompressionSettings {
  if (/^[0-9]+$/.test(text)) {
    const level = Number(text)
    if (level !== 0) requireTar(text, format)
    return level === 0
      ? { method: 'none', level: undefined }
      : { method: 'gzip', level: checkLevel('gzip', level) }
  }
  const [, method = '', detail] = /^(?:(?:client|server)-)?([^:]*)(?::(.*))?$/s.exec(text) ?? []
  if (method !== 'none' && !Object.hasOwn(levels, method)) {
    throw usageError(`unrecognized compression algorithm: "${method}"`)
  }
  if (method === 'none') {
    if (detail !== undefined)
      throw invalid('compression algorithm "none" does not accept a compression level')
    return { method, level: undefined }
  }
  requireTar(text, format)
  const known = method as Exclude<Compression, 'none'>
  return { method: known, level: detail === undefined ? undefined : readDetail(known, detail) }
}

/** A directory is not compressed. */
function requireTar(text: string, format: BackupFormat): void {
  if (format === 'tar') return
  throw text.startsWith('server-')
    ? usageError(
        'compression on the server is not supported',
        'Leave it out: the backup is the same, and only its way over the network is not compressed.',
      )
    : usageError('only tar mode backups can be compressed')
}

/** A level, or options with commas between them. @see src/common/compression.c (`parse_compress_specification`) */
function readDetail(method: Exclude<Compression, 'none'>, detail: string): number | undefined {
  if (/^-?[0-9]+$/.test(detail)) return checkLevel(method, Number(detail))
  let level: number | undefined
  for (const option of detail.split(',')) {
    const [name = '', value] = option.split(/=(.*)/s)
    switch (name) {
      case '':
        throw invalid('found empty string where a compression option was expected')
      case 'level':
        level = checkLevel(method, readInteger(name, value))
        break
      case 'workers':
        if (method !== 'zstd')
          throw invalid(`compression algorithm "${method}" does not accept a worker count`)
        throw usageError('compression option "workers" is not supported', 'All workers compress: use -j N.')
      case 'long':
        if (method !== 'zstd')
          throw invalid(`compression algorithm "${method}" does not support long-distance mode`)
        throw usageError(
          'compression option "long" is not supported',
          'Pieces of 1 MiB are compressed each by itself.',
        )
      default:
        throw invalid(`unrecognized compression option: "${name}"`)
    }
  }
  return level
}

function readInteger(name: string, value: string | undefined): number {
  if (value === undefined || value === '') throw invalid(`compression option "${name}" requires a value`)
  if (!/^-?[0-9]+$/.test(value)) throw invalid(`value for compression option "${name}" must be an integer`)
  return Number(value)
}

function checkLevel(method: Exclude<Compression, 'none'>, level: number): number {
  const { least, most, usual } = levels[method]
  if (level < least || level > most) {
    throw invalid(
      `compression algorithm "${method}" expects a compression level between ${least} and ${most} (default at ${usual})`,
    )
  }
  if (method === 'lz4' && level > 1) {
    throw usageError('lz4 is supported at level 1 only', 'For smaller archives, use gzip or zstd.')
  }
  return level
}

function invalid(what: string): Error {
  return usageError(`invalid compression specification: ${what}`)
}
