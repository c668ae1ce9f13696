import {
  type ChecksumAlgorithm,
  parseChecksumAlgorithm,
} from '../src/manifest/checksum/checksum-algorithm.js'
import { type SyncMethod, syncMethods } from '../src/files/durable-file.js'
import type { WalRange } from '../src/manifest/model.js'
import { parseWholeNumber } from '../src/manifest/manifest-parts.js'
import { parseLsn } from '../src/postgres/lsn.js'
import { usageError } from './usage-error.js'

const MAX_TIMELINE = 0xffff_ffffn
const MAX_SYSTEM_IDENTIFIER = 0xffff_ffff_ffff_ffffn

/** Reads the text of one option; `name` is how the option is spelled in a complaint. */
export type OptionReader<Value> = (name: string, text: string) => Value

/** Reads an option that need not be given. */
export function readOptional<Value>(
  read: OptionReader<Value>,
  name: string,
  text: string | undefined,
): Value | undefined {
  return text === undefined ? undefined : read(name, text)
}

/** A count of things there must be at least one of: jobs, workers. */
export function readCount(name: string, text: string): number {
  return Number(readInRange(name, text, 1n, BigInt(Number.MAX_SAFE_INTEGER), 'a whole number, at least 1'))
}

/** How files are summed; upper or lower case. */
export function readChecksumAlgorithm(name: string, text: string): ChecksumAlgorithm {
  const algorithm = parseChecksumAlgorithm(text)
  if (algorithm !== undefined) return algorithm
  throw invalidValue(name, text, 'one of CRC32C, SHA224, SHA256, SHA384, SHA512 and NONE')
}

/** In the words of pg_combinebackup and of a server. */
export function readManifestChecksums(text: string | undefined): ChecksumAlgorithm | undefined {
  const algorithm = text === undefined ? undefined : parseChecksumAlgorithm(text)
  if (text !== undefined && algorithm === undefined) {
    throw usageError(`unrecognized checksum algorithm: "${text}"`)
  }
  return algorithm
}

/** How long the other side of a connection may be silent, in seconds. */
export function readIoSeconds(name: string, text: string): number {
  return Number(readInRange(name, text, 1n, 86_400n, 'a whole number of seconds, 1 to 86400'))
}

/** The number of a worker, from 0. */
export function readWorkerNumber(name: string, text: string): number {
  return Number(readInRange(name, text, 0n, BigInt(Number.MAX_SAFE_INTEGER), 'a whole number, at least 0'))
}

export function readTimeline(name: string, text: string): number {
  return Number(readInRange(name, text, 1n, MAX_TIMELINE, `a whole number from 1 to ${MAX_TIMELINE}`))
}

export function readSystemIdentifier(name: string, text: string): bigint {
  return readInRange(
    name,
    text,
    1n,
    MAX_SYSTEM_IDENTIFIER,
    `a whole number from 1 to ${MAX_SYSTEM_IDENTIFIER}`,
  )
}

export function readLsn(name: string, text: string): bigint {
  const lsn = parseLsn(text)
  if (lsn === undefined) throw invalidValue(name, text, 'an LSN, such as 0/2000028')
  return lsn
}

/** A range as `TLI,START,END`. */
export function readWalRange(name: string, text: string): WalRange {
  const [timelineText, startText, endText, ...more] = text.split(',')
  const timeline = parseWholeNumber(timelineText ?? '') ?? 0n
  const startLsn = parseLsn(startText ?? '')
  const endLsn = parseLsn(endText ?? '')
  const isTimeline = timeline >= 1n && timeline <= MAX_TIMELINE
  if (!isTimeline || startLsn === undefined || endLsn === undefined || more.length > 0) {
    throw invalidValue(name, text, 'a timeline, a start LSN and an end LSN, such as 1,0/2000028,0/2000100')
  }
  return { timeline: Number(timeline), startLsn, endLsn }
}

function readInRange(name: string, text: string, min: bigint, max: bigint, expected: string): bigint {
  const value = parseWholeNumber(text)
  if (value === undefined || value < min || value > max) throw invalidValue(name, text, expected)
  return value
}

/** How files are made durable. @see src/fe_utils/option_utils.c (`parse_sync_method`) */
export function readSyncMethod(text: string | undefined): SyncMethod | undefined {
  if (text === undefined) return undefined
  const method = syncMethods.find((method) => method === text)
  if (method === undefined) throw usageError(`unrecognized sync method: ${text}`)
  if (method === 'syncfs' && process.platform !== 'linux') {
    throw usageError('this build does not support sync method "syncfs"')
  }
  return method
}

/** The format of a backup. @param which - as the program of PostgreSQL's with this option calls it */
export function readBackupFormat(
  text: string | undefined,
  which: 'output' | 'backup',
): 'plain' | 'tar' | undefined {
  switch (text) {
    case undefined:
      return undefined
    case 'p':
    case 'plain':
      return 'plain'
    case 't':
    case 'tar':
      return 'tar'
    default:
      throw usageError(`invalid ${which} format "${text}", must be "plain" or "tar"`)
  }
}

/** The usage error for one option's value. */
export function invalidValue(name: string, text: string, expected: string): Error {
  return usageError(`invalid value "${text}" for option ${name}`, `It must be ${expected}.`)
}
