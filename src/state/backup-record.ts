import { createHash } from 'node:crypto'
import { realpathSync, renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { hostname } from 'node:os'
import { PbManifestError } from '../errors.js'
import { readSmallFile } from '../files/read-small-file.js'
import type { VerifyReport } from '../verify/report.js'
import { makePrivateDirectory, type StateDirectory, writeDurably } from './state-directory.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import { version } from '../version.js'

const RECORD = 'backup.json'
const MAX_BYTES = 16 * 1024 * 1024

/** Older ones are forgotten; their reports are not. */
const MAX_RUNS = 10_000

/** A verification in few words; the rest is in its report. */
export interface VerificationRun {
  readonly startedAt: string
  readonly endedAt: string
  readonly host: string
  readonly pbmanifestVersion: string
  readonly verdict: VerifyReport['verdict']
  /** How many there are. */
  readonly problems: number
  /** Files and bytes that were read. */
  readonly filesRead: number
  readonly bytesRead: number
  /** Since when each file has been read once; `null` when one never was, or this run did not read files at all. */
  readonly allReadSince: string | null
  /** The name of its report, below the directory of the record. */
  readonly report: string
}

/**
 * What is kept of a backup: what it is, and how its verifications went.
 *
 * @see schemas/state-backup.schema.json
 */
export interface BackupRecord {
  readonly stateVersion: 1
  /** Absolute, without links. */
  readonly path: string
  readonly manifestChecksum: string
  readonly format: VerifyReport['format']
  readonly label: string | null
  readonly startTimeUtc: string | null
  readonly serverMajorVersion: number | null
  readonly systemIdentifier: string | null
  /** Of the manifest. */
  readonly files: number
  readonly bytes: number
  /** From the first to the last. */
  readonly runs: readonly VerificationRun[]
}

/** What a report adds to the record of its backup. */
export function withRun(
  record: BackupRecord | undefined,
  { path, ...report }: VerifyReport,
  run: Pick<VerificationRun, 'allReadSince' | 'report'>,
): BackupRecord {
  const { backup, manifest } = report
  return {
    stateVersion: 1,
    path: path ?? '',
    manifestChecksum: manifest.checksum,
    format: report.format,
    // What was known once and cannot be read now is still so: the manifest is the same.
    label: backup.label ?? record?.label ?? null,
    startTimeUtc: backup.startTimeUtc ?? record?.startTimeUtc ?? null,
    serverMajorVersion: backup.serverMajorVersion ?? record?.serverMajorVersion ?? null,
    systemIdentifier: backup.systemIdentifier ?? record?.systemIdentifier ?? null,
    files: manifest.files,
    bytes: manifest.bytes,
    runs: [
      ...(record?.runs ?? []),
      {
        startedAt: report.startedAt,
        endedAt: report.endedAt,
        host: report.host,
        pbmanifestVersion: report.pbmanifestVersion,
        verdict: report.verdict,
        problems: Object.values(report.problemCounts).reduce((sum, count) => sum + count, 0),
        filesRead: report.filesChecked,
        bytesRead: report.bytesChecked,
        ...run,
      },
    ].slice(-MAX_RUNS),
  }
}

/**
 * Reads the record in this place.
 *
 * @returns `undefined` when there is none
 * @throws {@link PbManifestError} `IO`; `BAD_FILE` when it is damaged
 */
export function readRecord(place: string): BackupRecord | undefined {
  const path = join(place, RECORD)
  const bytes = readSmallFile(path, MAX_BYTES)
  if (bytes === undefined) return undefined
  const { checksum, ...record } = parse(bytes.toString('utf8'))
  if (checksumOf(record) !== checksum) throw damaged(path, 'it does not have its checksum')
  const { stateVersion } = record
  if (stateVersion !== 1) throw damaged(path, `it is of version ${String(stateVersion)}`)
  // What has its checksum is as one of us wrote it, and so fits its schema.
  return record as unknown as BackupRecord
}

/** Writes it, whole or not at all. */
export async function writeRecord(place: string, record: BackupRecord): Promise<void> {
  const document = { ...record, checksum: checksumOf(record) }
  await writeDurably(join(place, RECORD), [`${JSON.stringify(document, null, 1)}\n`])
}

/** Puts a damaged record aside. */
export function setRecordAside(place: string): void {
  const path = join(place, RECORD)
  renameSync(path, `${path}.damaged`)
}

function damaged(path: string, why: string): PbManifestError {
  return new PbManifestError('BAD_FILE', `state file "${path}" is damaged: ${why}`)
}

function checksumOf(record: object): string {
  return createHash('sha256').update(JSON.stringify(record)).digest('hex')
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

/**
 * A verification that came to no verdict, and after which there was no other one of the same directory.
 *
 * @see schemas/state-failure.schema.json
 */
export interface FailedRun {
  readonly stateVersion: 1
  /** Of the backup directory; absolute, without links. */
  readonly path: string
  /** When it ended. UTC, by ISO 8601. */
  readonly at: string
  readonly host: string
  readonly pbmanifestVersion: string
  /** Why it came to no verdict. */
  readonly error: { readonly code: string; readonly message: string }
}

/**
 * Takes down that a verification came to no verdict. One of a directory that is not there leaves nothing: there is no backup of which
 * it says something.
 *
 * @throws {@link PbManifestError} `IO`
 */
export async function writeFailedRun(
  state: StateDirectory,
  directory: string,
  { code, message }: PbManifestError,
): Promise<void> {
  const path = realPathOf(directory)
  if (path === undefined) return
  makePrivateDirectory(state.failures)
  const run: FailedRun = {
    stateVersion: 1,
    path,
    at: new Date().toISOString(),
    host: hostname(),
    pbmanifestVersion: version,
    error: { code, message },
  }
  await writeDurably(fileOf(state, path), [`${JSON.stringify(run, null, 1)}\n`])
}

/**
 * To be called when there is a verdict.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function forgetFailedRun(state: StateDirectory, directory: string): void {
  const path = fileOf(state, realPathOf(directory) ?? resolve(directory))
  try {
    rmSync(path, { force: true })
  } catch (error) {
    throw ioError(`could not remove file "${path}"`, error)
  }
}

/** @throws {@link PbManifestError} `IO`, or `BAD_FILE` when it is damaged */
export function readFailedRun(path: string): FailedRun | undefined {
  const text = readSmallFile(path, MAX_BYTES)?.toString('utf8')
  if (text === undefined) return undefined
  const run = parseFailedRun(text)
  if (run?.stateVersion === 1 && typeof run.path === 'string' && typeof run.error?.message === 'string') {
    return run as FailedRun
  }
  throw new PbManifestError('BAD_FILE', `state file "${path}" is damaged`)
}

function parseFailedRun(text: string): Partial<FailedRun> | undefined {
  try {
    return (JSON.parse(text) as Partial<FailedRun> | null) ?? undefined
  } catch {
    return undefined
  }
}

function fileOf(state: StateDirectory, path: string): string {
  const name = createHash('sha256').update(path).digest('hex').slice(0, 32)
  return join(state.failures, `${name}.json`)
}

function realPathOf(directory: string): string | undefined {
  try {
    return realpathSync(directory)
  } catch (error) {
    if (describeSystemError(error) === undefined) throw error
    return undefined
  }
}
