import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { isPbManifestError, PbManifestError } from '../errors.js'
import { displayPathname } from '../files/pathname.js'
import { readSmallFile } from '../files/read-small-file.js'
import { Yielder } from '../files/yielder.js'
import { readBackupLabel, readControlFile, readMajorVersion } from '../manifest/data-directory-files.js'
import type { BackupLabel } from '../postgres/backup-label.js'
import type { ControlFile } from '../postgres/control-file.js'
import { CONTROL_FILE, TABLESPACE_MAP } from '../postgres/data-directory.js'
import { parseTablespaceMap } from '../postgres/tablespace-map.js'
import type { DrillFailure } from './report.js'
import { findVersion } from '../postgres/versions.js'
import { parseWalSegmentName, segmentHoldingStart } from '../postgres/wal-segment.js'
import { listWalSegments } from '../verify/wal/file-wal-source.js'
import { findRuns } from '../verify/wal/plan-parts.js'
import { walkRun } from '../verify/wal/walk-run.js'

const TABLESPACE_MAP_BYTES = 1024 * 1024
const SETTINGS_BYTES = 1024 * 1024

/** What a backup says that a drill needs to know. */
export interface DrilledBackup {
  readonly directory: string
  readonly major: number
  readonly control: ControlFile
  /** `undefined`: recovery as after a crash. */
  readonly label: BackupLabel | undefined
}

/** @throws {@link PbManifestError} `IO` when it is no backup in plain format, `USAGE` when a server may run in it */
export function requireMajor(directory: string): number {
  const major = readMajorVersion(directory)
  if (existsSync(`${directory}/postmaster.pid`)) {
    throw new PbManifestError('USAGE', `lock file "${displayPathname(directory)}/postmaster.pid" exists`, {
      hint: 'Is a server running in it? A copy of its files would be of no one moment: take a backup.',
    })
  }
  if (major !== undefined) return major
  const what = existsSync(directory)
    ? 'there is no PG_VERSION in it that says a version'
    : 'it does not exist'
  throw new PbManifestError('IO', `"${displayPathname(directory)}" is no backup in plain format: ${what}`)
}

/** What a server reads first; or why it would not go on. */
export function readBackup(directory: string, major: number): DrilledBackup | DrillFailure {
  try {
    const control = readControlFile(directory)
    if (control !== undefined)
      return { directory: resolve(directory), major, control, label: readBackupLabel(directory) }
    return { part: 'backup', message: `"${CONTROL_FILE}" is not there`, details: [] }
  } catch (error) {
    if (!isPbManifestError(error) || error.code !== 'BAD_FILE') throw error
    return { part: 'backup', message: error.message, details: [] }
  }
}

/** What makes it no use, or a danger, to start a server on a copy. */
export async function findObstacle(
  { directory, major, control, label }: DrilledBackup,
  signal: AbortSignal | undefined,
): Promise<DrillFailure | undefined> {
  const name = `${directory}/${TABLESPACE_MAP}`
  const map = readSmallFile(name, TABLESPACE_MAP_BYTES)
  for (const { oid } of map === undefined ? [] : parseTablespaceMap(map.toString('utf8'), name)) {
    if (existsSync(`${directory}/pg_tblspc/${oid}`)) continue
    const message = `tablespace_map names tablespace ${oid}, but "pg_tblspc/${oid}" is not there`
    return { part: 'backup', message, details: [] }
  }
  if (label?.incrementalFrom !== undefined) {
    const hint = 'Hold the drill on what pg_combinebackup makes of it.'
    return { part: 'drill', message: 'the backup is an incremental one', details: [], hint }
  }
  const start = {
    major,
    control,
    startLsn: label?.startLsn ?? control.checkPointCopy.redo,
    timeline: label?.startSegmentTimeline ?? control.checkPointCopy.timeline,
  }
  if (!(await makesTablespace(directory, start, new Yielder(signal)))) return undefined
  return {
    part: 'drill',
    message: 'the WAL of the backup makes a tablespace (CREATE TABLESPACE)',
    details: [
      'a server that replays it makes the tablespace at its original place, and removes what is there',
    ],
    hint: 'Hold the drill on a machine where nothing is at that place, by hand, or on a later backup.',
  }
}

/** Settings of the original that the drill goes without, but that its data may need. */
export function listWhatIsNotLoaded(
  directory: string,
  settings: Readonly<Record<string, string>> | undefined,
): string[] {
  const names = Object.keys(settings ?? {}).map((name) => name.toLowerCase())
  if (names.includes('shared_preload_libraries')) return []
  const found = ['postgresql.conf', 'postgresql.auto.conf'].flatMap((file) =>
    preloadIn(`${directory}/${file}`),
  )
  const last = found.at(-1)
  if (last === undefined || last === '') return []
  return [
    `the settings of the backup load "${last}" (shared_preload_libraries), and the drill does not: -c says so`,
  ]
}

function preloadIn(path: string): string[] {
  try {
    const lines = (readSmallFile(path, SETTINGS_BYTES)?.toString('utf8') ?? '').split('\n')
    return lines.flatMap((line) => {
      const value = /^shared_preload_libraries[ \t=]*'([^']*)'/i.exec(line.trim())?.[1]
      return value === undefined ? [] : [value]
    })
  } catch (error) {
    // It may be a link to somewhere else; it does not matter.
    if (!isPbManifestError(error)) throw error
    return []
  }
}

/** What of a backup says where its recovery begins. */
interface RecoveryStart {
  readonly major: number
  readonly control: ControlFile
  readonly startLsn: bigint
  readonly timeline: number
}

/**
 * Whether the WAL that a recovery would replay makes a tablespace. That is a danger to others: a server makes it where it was made
 * first, whatever the links of the copy say, and removes what it finds there.
 *
 * @see src/backend/commands/tablespace.c (`create_tablespace_directories`)
 */
async function makesTablespace(
  directory: string,
  { major, control, startLsn, timeline }: RecoveryStart,
  yielder: Yielder,
): Promise<boolean> {
  const source = listWalSegments([`${directory}/pg_wal`], false)
  const segmentSize = control.walSegmentSize
  const formats = findVersion(major)?.walFormats ?? []
  const byTimeline = new Map<number, bigint[]>()
  for (const name of source.names) {
    const segment = parseWalSegmentName(name, segmentSize)
    const isReplayed =
      segment !== undefined &&
      segment.timeline >= timeline &&
      segment.segmentNumber >= segmentHoldingStart(startLsn, segmentSize)
    if (isReplayed)
      byTimeline.set(segment.timeline, [...(byTimeline.get(segment.timeline) ?? []), segment.segmentNumber])
  }
  for (const [each, segments] of byTimeline) {
    for (const run of findRuns(segments.toSorted((left, right) => (left < right ? -1 : 1)))) {
      const isFirst = each === timeline && run.firstSegment === segmentHoldingStart(startLsn, segmentSize)
      for (const { pageMagic } of formats) {
        // Where reading ends, replay does too.
        const { touches } = await walkRun(
          { source, jobs: 1, yielder, signal: undefined },
          {
            pageMagic,
            timeline: each,
            segmentSize,
            systemIdentifier: control.systemIdentifier,
            endLsn: (run.lastSegment + 1n) * BigInt(segmentSize),
            wanted: new Uint32Array(),
          },
          { ...run, startLsn: isFirst ? startLsn : undefined },
        )
        if (touches.some(({ tablespaceCreation }) => tablespaceCreation[0] === 1)) return true
      }
    }
  }
  return false
}
