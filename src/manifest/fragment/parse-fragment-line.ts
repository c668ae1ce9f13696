import { isUtf8 } from 'node:buffer'
import { decodePathname } from '../../files/pathname.js'
import { type Validator, validatorOf } from '../../schemas/validator.js'
import type { RealChecksumAlgorithm } from '../checksum/checksum-algorithm.js'
import { formatManifestFile } from '../manifest-parts.js'
import type { ManifestFile } from '../model.js'
import { unsafePathnameReason } from '../../files/safe-pathname.js'
import {
  type FragmentSeal,
  formatFragmentSeal,
  type FragmentSealJson,
  sealFromJson,
} from './fragment-seal.js'

/** A file's entry as JSON has it. @see schemas/manifest-file.schema.json */
export interface ManifestFileJson {
  readonly Path?: string
  readonly 'Encoded-Path'?: string
  readonly Size: number
  readonly 'Last-Modified': string
  readonly 'Checksum-Algorithm'?: RealChecksumAlgorithm
  readonly Checksum?: string
}

const isManifestFile: Validator = validatorOf('manifest-file')
const isFragmentSeal: Validator = validatorOf('fragment-seal')

/**
 * The file that a line of a fragment records.
 *
 * The line must be, byte for byte, what PostgreSQL would write: it goes into the manifest as it is.
 *
 * @param line - without its end
 * @returns a reason when it is no such line
 */
export function parseFragmentLine(line: Buffer): ManifestFile | string {
  const json = parseJson(line)
  if (json === undefined) return 'it is not JSON'
  const mismatch = isManifestFile(json)
  if (mismatch !== undefined) return mismatch
  const file = fileFromJson(json as ManifestFileJson)
  const reason = unsafePathnameReason(file.pathname)
  if (reason !== undefined) return reason
  return formatManifestFile(file) === line.toString('utf8')
    ? file
    : 'it is not written as PostgreSQL writes it'
}

/**
 * The seal that a fragment's last line is.
 *
 * @param line - without its end
 * @returns `undefined` when it is no seal
 */
export function parseFragmentSeal(line: Buffer): FragmentSeal | undefined {
  const json = parseJson(line)
  if (json === undefined || isFragmentSeal(json) !== undefined) return undefined
  const seal = sealFromJson(json as FragmentSealJson)
  return formatFragmentSeal(seal) === line.toString('utf8') ? seal : undefined
}

function parseJson(line: Buffer): unknown {
  if (!isUtf8(line)) return undefined
  try {
    return JSON.parse(line.toString('utf8'))
  } catch {
    return undefined
  }
}

function fileFromJson(json: ManifestFileJson): ManifestFile {
  const encodedPath = json['Encoded-Path']
  const algorithm = json['Checksum-Algorithm']
  return {
    pathname: encodedPath === undefined ? (json.Path ?? '') : decodePathname(Buffer.from(encodedPath, 'hex')),
    size: json.Size,
    lastModified: json['Last-Modified'],
    checksum: algorithm === undefined ? undefined : { algorithm, hex: json.Checksum ?? '' },
    isPathEncoded: encodedPath !== undefined,
  }
}
