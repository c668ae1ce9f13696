import type { Compression } from '../../../src/files/compression/compression.js'
import type { CompressionSettings } from '../../../src/files/compression/piece-compressor.js'
import type { BackupFormat, BackupOptions } from '../../../src/transfer/client/options.js'
import { usageError } from '../../usage-error.js'

/** Levels as pg_basebackup knows them. @see src/common/compression.c (`validate_compress_specification`) */
const levels = {
  gzip: { least: 1, most: 9, usual: -1 },
  lz4: { least: 1, most: 12, usual: 0 },
  zstd: { least: -131_072, most: 22, usual: 3 },
} as const

/** What a specification asks for, before it is known whether that makes sense. */
interface Specification {
  level: number | undefined
  workers: boolean
  long: boolean
}

type CompressionOptions = Pick<BackupOptions, 'compression' | 'compressWal'>

/**
 * Reads `[client-|server-]METHOD[:DETAIL]`, or a level of gzip alone. The server of a backup over SQL compresses nothing: where the
 * peer has it compress, the backup is the same, but the files come as they are. What has no effect here is told by `warn`.
 *
 * @throws {@link PbManifestError} `USAGE`, in the words of pg_basebackup
 * @see src/bin/pg_basebackup/pg_basebackup.c (`backup_parse_compress_options`)
 */
export function readCompression(
  text: string,
  format: BackupFormat,
  warn: (message: string) => void,
): CompressionOptions {
  const [, place, spelled = ''] = /^(?:(client|server)-)?(.*)$/s.exec(text) ?? []
  const settings = readMethod(spelled, warn)
  if (settings.method === 'none') return { compression: settings }
  if (place !== 'server') {
    if (format !== 'tar') throw usageError('only tar mode backups can be compressed')
    return { compression: settings }
  }
  // Of plain format, the peer undoes it again; and WAL that is streamed does not come through it.
  if (format === 'plain') {
    warn('compression on the server is not supported: files come uncompressed')
    return {}
  }
  warn('compression on the server is not supported: files come uncompressed, and are compressed here')
  return { compression: settings, compressWal: false }
}

/** @see src/common/compression.c (`parse_compress_options`) */
function readMethod(text: string, warn: (message: string) => void): CompressionSettings {
  const number = /^\s*[-+]?[0-9]+$/.test(text) || text === '' ? Number(text) : undefined
  if (number === 0) return { method: 'none', level: undefined }
  const [, method = '', detail] =
    number === undefined ? (/^([^:]*)(?::(.*))?$/s.exec(text) ?? []) : ['', 'gzip', text]
  if (method !== 'none' && !Object.hasOwn(levels, method)) {
    throw usageError(`unrecognized compression algorithm: "${method}"`)
  }
  const known = method as Compression
  const specification = readDetail(detail)
  checkSpecification(known, specification)
  const { level, workers, long } = specification
  if (workers) warn('compression option "workers" has no effect: as many compress as there are jobs')
  if (long) warn('compression option "long" has no effect: pieces of 1 MiB are compressed each by itself')
  if (known === 'lz4' && level !== undefined && level > 1) {
    warn(`lz4 compresses at level 1, and not at ${level}: zstd makes smaller archives`)
    return { method: known, level: 1 }
  }
  return { method: known, level: known === 'none' ? undefined : level }
}

/** A level, or options with commas between them. @see src/common/compression.c (`parse_compress_specification`) */
function readDetail(detail: string | undefined): Specification {
  const specification: Specification = { level: undefined, workers: false, long: false }
  if (detail === undefined) return specification
  if (INTEGER.test(detail)) return { ...specification, level: Number(detail) }
  for (const option of detail.split(',')) {
    const [name = '', value] = option.split(/=(.*)/s)
    switch (name) {
      case '':
        throw invalid('found empty string where a compression option was expected')
      case 'level':
        specification.level = readInteger(name, value)
        break
      case 'workers':
        readInteger(name, value)
        specification.workers = true
        break
      case 'long':
        specification.long = readBoolean(name, value)
        break
      default:
        throw invalid(`unrecognized compression option: "${name}"`)
    }
  }
  return specification
}

const INTEGER = /^\s*[-+]?[0-9]+$/

function readInteger(name: string, value: string | undefined): number {
  if (value === undefined) throw invalid(`compression option "${name}" requires a value`)
  if (!INTEGER.test(value)) throw invalid(`value for compression option "${name}" must be an integer`)
  return Number(value)
}

function readBoolean(name: string, value: string | undefined): boolean {
  switch (value?.toLowerCase()) {
    case undefined:
    case 'yes':
    case 'on':
    case '1':
      return true
    case 'no':
    case 'off':
    case '0':
      return false
    default:
      throw invalid(`value for compression option "${name}" must be a Boolean value`)
  }
}

/** @see src/common/compression.c (`validate_compress_specification`) */
function checkSpecification(method: Compression, { level, workers, long }: Specification): void {
  const algorithm = `compression algorithm "${method}"`
  if (method === 'none') {
    if (level !== undefined && level !== 0) throw invalid(`${algorithm} does not accept a compression level`)
  } else if (level !== undefined) {
    const { least, most, usual } = levels[method]
    if ((level < least || level > most) && level !== usual) {
      throw invalid(
        `${algorithm} expects a compression level between ${least} and ${most} (default at ${usual})`,
      )
    }
  }
  if (method === 'zstd') return
  if (workers) throw invalid(`${algorithm} does not accept a worker count`)
  if (long) throw invalid(`${algorithm} does not support long-distance mode`)
}

function invalid(what: string): Error {
  return usageError(`invalid compression specification: ${what}`)
}
