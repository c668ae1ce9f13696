import { createHash } from 'node:crypto'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { PbManifestError } from '../errors.js'
import { readSmallFile } from '../files/read-small-file.js'
import type { VerifyReport } from '../verify/report.js'
import { writeDurably } from './state-directory.js'

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
