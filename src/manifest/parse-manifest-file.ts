import { checksumLength, parseChecksumAlgorithm } from './checksum/checksum-algorithm.js'
import { badManifestError, manifestParseError } from './manifest-error.js'
import type { FileChecksum, ManifestFile } from './model.js'
import { parseWholeNumber } from './parse-whole-number.js'
import { decodePathname, displayPathname, type Pathname } from '../files/pathname.js'
import { unsafePathnameReason } from '../files/safe-pathname.js'

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
