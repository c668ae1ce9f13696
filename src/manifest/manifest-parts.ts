import {
  decodePathname,
  displayPathname,
  encodePathname,
  isUtf8Pathname,
  type Pathname,
} from '../files/pathname.js'
import { unsafePathnameReason } from '../files/safe-pathname.js'
import { formatLsn, type LsnDigits, parseLsn } from '../postgres/lsn.js'
import { checksumLength, parseChecksumAlgorithm } from './checksum/checksum-algorithm.js'
import { badManifestError, manifestParseError } from './manifest-error.js'
import type { FileChecksum, ManifestFile, ManifestHeader, WalRange } from './model.js'

/**
 * The parts of a manifest as text: written precisely as PostgreSQL's server writes them, and read as its tools read them.
 *
 * @see src/backend/backup/backup_manifest.c
 * @see src/common/parse_manifest.c
 */

const MAX_TIMELINE = 0xffffffffn

/** The first line, or the first two, and the opening of the file list. */
export function formatManifestHeader(header: ManifestHeader): string {
  const version = `{ "PostgreSQL-Backup-Manifest-Version": ${header.version},\n`
  const identifier =
    header.systemIdentifier === undefined ? '' : `"System-Identifier": ${header.systemIdentifier},\n`
  return `${version}${identifier}"Files": [`
}

/** What stands before a file or a WAL range: a line feed before the first, a comma and a line feed before others. */
export function formatListSeparator(isFirst: boolean): string {
  return isFirst ? '\n' : ',\n'
}

/** One file's entry, on one line without its end. */
export function formatManifestFile(file: ManifestFile): string {
  const modified =
    file.lastModified === undefined ? '' : `, "Last-Modified": ${JSON.stringify(file.lastModified)}`
  const checksum =
    file.checksum === undefined
      ? ''
      : `, "Checksum-Algorithm": "${file.checksum.algorithm}", "Checksum": "${file.checksum.hex}"`
  return `{ ${formatPath(file)}, "Size": ${file.size}${modified}${checksum} }`
}

/**
 * The end of the file list, and all WAL ranges: everything up to the line of the manifest's own checksum.
 *
 * @param lsnDigits - what the server's version has
 */
export function formatWalRanges(walRanges: readonly WalRange[], lsnDigits: LsnDigits): string {
  const lines = walRanges.map(
    (range, index) => formatListSeparator(index === 0) + formatWalRange(range, lsnDigits),
  )
  return `\n],\n"WAL-Ranges": [${lines.join('') || '\n'}\n],\n`
}

/** The last line: the manifest's own SHA-256 over all bytes before it. */
export function formatManifestChecksum(checksum: string): string {
  return `"Manifest-Checksum": "${checksum}"}\n`
}

/** A time as manifests have it: whole seconds, always GMT. */
export function formatLastModified(time: Date): string {
  // Counted from the end, where a year of more than four digits, which ISO writes in another way, makes no difference.
  const rest = time.toISOString().slice(-20, -5).replace('T', ' ')
  return `${String(time.getUTCFullYear()).padStart(4, '0')}${rest} GMT`
}

function formatPath(file: ManifestFile): string {
  if (file.isPathEncoded || !isUtf8Pathname(file.pathname)) {
    return `"Encoded-Path": "${encodePathname(file.pathname).toString('hex')}"`
  }
  // JSON.stringify escapes what PostgreSQL's escape_json escapes, and writes it the same way.
  return `"Path": ${JSON.stringify(file.pathname)}`
}

function formatWalRange({ timeline, startLsn, endLsn }: WalRange, lsnDigits: LsnDigits): string {
  const [start, end] = [formatLsn(startLsn, lsnDigits), formatLsn(endLsn, lsnDigits)]
  return `{ "Timeline": ${timeline}, "Start-LSN": "${start}", "End-LSN": "${end}" }`
}

/** The keys of one object of `"Files"`. */
export const fileFields = [
  'Path',
  'Encoded-Path',
  'Size',
  'Last-Modified',
  'Checksum-Algorithm',
  'Checksum',
] as const

type FileFields = ReadonlyMap<(typeof fileFields)[number], string>

/**
 * Makes a manifest file of the values of one object of `"Files"`.
 *
 * What `pg_verifybackup` refuses is refused in its words and in its order. Refused as well, though it lets them
 * pass: sizes beyond 2^53, pathnames that leave the data directory, an algorithm without a checksum, a checksum
 * of the wrong length: each could hide damage.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST`
 * @see src/common/parse_manifest.c, json_manifest_finalize_file
 */
export function parseManifestFile(fields: FileFields): ManifestFile {
  const path = fields.get('Path')
  const encodedPath = fields.get('Encoded-Path')
  const size = fields.get('Size')
  if (path === undefined && encodedPath === undefined) throw manifestParseError('missing path name')
  if (path !== undefined && encodedPath !== undefined) {
    throw manifestParseError('both path name and encoded path name')
  }
  if (size === undefined) throw manifestParseError('missing size')
  if (fields.has('Checksum') && !fields.has('Checksum-Algorithm')) {
    throw manifestParseError('checksum without algorithm')
  }
  const pathname = path ?? decodeEncodedPath(encodedPath ?? '')
  return {
    pathname: requireSafePathname(pathname),
    size: parseSize(size, pathname),
    lastModified: fields.get('Last-Modified'),
    checksum: parseChecksum(fields, pathname),
    isPathEncoded: encodedPath !== undefined,
  }
}

function decodeEncodedPath(hex: string): Pathname {
  if (!isHex(hex)) throw manifestParseError('could not decode file name')
  return decodePathname(Buffer.from(hex, 'hex'))
}

function requireSafePathname(pathname: Pathname): Pathname {
  const reason = unsafePathnameReason(pathname)
  if (reason !== undefined) throw manifestParseError(`${reason}: "${displayPathname(pathname)}"`)
  return pathname
}

function parseSize(text: string, pathname: Pathname): number {
  const size = parseWholeNumber(text)
  if (size === undefined) throw manifestParseError('file size is not an integer')
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw manifestParseError(`file size is out of range: ${text} for file "${displayPathname(pathname)}"`)
  }
  return Number(size)
}

function parseChecksum(fields: FileFields, pathname: Pathname): FileChecksum | undefined {
  const name = fields.get('Checksum-Algorithm')
  const hex = fields.get('Checksum')
  if (name === undefined) return undefined
  const algorithm = parseChecksumAlgorithm(name)
  if (algorithm === undefined) {
    throw badManifestError(`unrecognized checksum algorithm: "${displayPathname(name)}"`)
  }
  const file = displayPathname(pathname)
  if (hex !== undefined && !isHex(hex)) {
    throw badManifestError(`invalid checksum for file "${file}": "${displayPathname(hex)}"`)
  }
  if (algorithm === 'NONE') {
    if (hex !== undefined) throw manifestParseError(`checksum for algorithm "NONE" of file "${file}"`)
    return undefined
  }
  if (hex === undefined) throw manifestParseError(`checksum algorithm without checksum for file "${file}"`)
  if (hex.length !== 2 * checksumLength(algorithm)) {
    throw badManifestError(
      `file "${file}" has checksum of length ${hex.length / 2}, but expected ${checksumLength(algorithm)}`,
    )
  }
  return { algorithm, hex: hex.toLowerCase() }
}

function isHex(text: string): boolean {
  return text.length % 2 === 0 && /^[0-9A-Fa-f]*$/.test(text)
}

/** The keys of one object of `"WAL-Ranges"`. */
export const walRangeFields = ['Timeline', 'Start-LSN', 'End-LSN'] as const

/**
 * Makes a WAL range of the values of one object of `"WAL-Ranges"`.
 *
 * Stricter than `pg_verifybackup`, whose scanner takes `0/1zz` for an LSN and 4294967297 for timeline 1.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST`
 * @see src/common/parse_manifest.c, json_manifest_finalize_wal_range
 */
export function parseWalRange(fields: ReadonlyMap<(typeof walRangeFields)[number], string>): WalRange {
  const timelineText = fields.get('Timeline')
  const startText = fields.get('Start-LSN')
  const endText = fields.get('End-LSN')
  if (timelineText === undefined) throw manifestParseError('missing timeline')
  if (startText === undefined) throw manifestParseError('missing start LSN')
  if (endText === undefined) throw manifestParseError('missing end LSN')
  const timeline = parseWholeNumber(timelineText)
  if (timeline === undefined) throw manifestParseError('timeline is not an integer')
  if (timeline === 0n || timeline > MAX_TIMELINE) {
    throw manifestParseError(`timeline is out of range: ${timelineText}`)
  }
  const startLsn = parseLsn(startText)
  if (startLsn === undefined) throw manifestParseError('could not parse start LSN')
  const endLsn = parseLsn(endText)
  if (endLsn === undefined) throw manifestParseError('could not parse end LSN')
  return { timeline: Number(timeline), startLsn, endLsn }
}

/** The number that this text spells in plain decimal digits; `undefined` for anything else, also for `03` and `+3`. */
export function parseWholeNumber(text: string): bigint | undefined {
  return /^(?:0|[1-9][0-9]*)$/.test(text) ? BigInt(text) : undefined
}
