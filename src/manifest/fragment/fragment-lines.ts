import { isUtf8 } from 'node:buffer'
import { decodePathname } from '../../files/pathname.js'
import { type Validator, validatorOf } from '../../schemas/validator.js'
import type { RealChecksumAlgorithm } from '../checksum/checksum-algorithm.js'
import { formatManifestFile } from '../manifest-parts.js'
import type { ManifestFile } from '../model.js'
import { unsafePathnameReason } from '../../files/safe-pathname.js'

/** The last line of a fragment: whose it is, and that it is complete. */
export interface FragmentSeal {
  readonly backupId: string
  readonly worker: number
  /** How many files the fragment records. */
  readonly files: number
  /** The sum of their sizes. */
  readonly bytes: number
  /** SHA-256 of all lines before the seal, hexadecimal. */
  readonly fragmentChecksum: string
}

/** What was written, when it is sealed. */
export interface SealedFragment {
  readonly files: number
  readonly bytes: number
  /** SHA-256 of the fragment without its seal, hexadecimal. */
  readonly fragmentChecksum: string
}

/** The seal as JSON has it. @see schemas/fragment-seal.schema.json */
export interface FragmentSealJson {
  readonly 'Fragment-Version': 1
  readonly 'Backup-Id': string
  readonly Worker: number
  readonly Files: number
  readonly Bytes: number
  readonly 'Fragment-Checksum': string
}

/** The seal's line, without its end. */
export function formatFragmentSeal(seal: FragmentSeal): string {
  return (
    `{ "Fragment-Version": 1, "Backup-Id": "${seal.backupId}", "Worker": ${seal.worker}, "Files": ${seal.files}, ` +
    `"Bytes": ${seal.bytes}, "Fragment-Checksum": "${seal.fragmentChecksum}" }`
  )
}

/** What the JSON of a seal says. */
function sealFromJson(json: FragmentSealJson): FragmentSeal {
  return {
    backupId: json['Backup-Id'],
    worker: json.Worker,
    files: json.Files,
    bytes: json.Bytes,
    fragmentChecksum: json['Fragment-Checksum'],
  }
}

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
