import type { Yielder } from '../files/yielder.js'
import { formatLsn } from '../postgres/lsn.js'
import { findWalFormat, type WalFormat } from '../postgres/versions.js'
import { isBackupEnd } from '../postgres/wal/record-header.js'
import { readRecordBody } from '../postgres/wal/record-body.js'
import { createWalBuffer } from '../postgres/wal/wal-buffer.js'
import type { RecordListener } from '../postgres/wal/wal-stretch.js'
import { parseWalPageHeader, WAL_BLOCK_SIZE, WAL_PAGE_LONG_HEADER_SIZE } from '../postgres/wal-page-header.js'
import { parseWalSegmentName, segmentHoldingStart, walSegmentName } from '../postgres/wal-segment.js'
import { readFirstPageHeader } from '../verify/wal/wal-segment-size.js'
import type { WalSource } from '../verify/wal/wal-source.js'
import { WAL_BUFFER_BYTES, walkPart } from '../verify/wal/walk-part.js'
import { runYielding } from '../verify/wal/walk-run.js'

/** In which WAL something is looked for, and from where on. */
export interface SearchedWal {
  readonly source: WalSource
  readonly segmentSize: number
  readonly systemIdentifier: bigint
  readonly timeline: number
  readonly startLsn: bigint
}

/** What was found, or why not: a sentence fragment that names the WAL. */
export type WalSearchResult = { readonly endLsn: bigint } | { readonly fault: string }

/**
 * Finds where a backup of a primary has ended: behind the record that says so of the backup that began at `startLsn`.
 *
 * @see src/backend/access/transam/xlog.c (`do_pg_backup_stop`)
 */
export async function findBackupEnd(wal: SearchedWal, yielder: Yielder): Promise<WalSearchResult> {
  let found: bigint | undefined
  const walked = await walk(wal, yielder, (format) => (view, at, known, endLsn) => {
    if (!isBackupEnd(view, at) || startOfEnded(view, at, known, format) !== wal.startLsn) return false
    found = endLsn
    return true
  })
  if (found !== undefined) return { endLsn: found }
  if ('fault' in walked) return walked
  return { fault: `${describeEnd(wal, walked)}, without a record of the end of this backup` }
}

/** Where the backup began that this record ends. */
function startOfEnded(view: DataView, at: number, known: number, format: WalFormat): bigint | undefined {
  const dataAt = readRecordBody(view, at, known, format, () => {})
  return dataAt === undefined || dataAt + 8 > at + known ? undefined : view.getBigUint64(dataAt, true)
}

/** Finds where the record at `startLsn` ends, which is the last one: a cluster that was shut down has no WAL behind its checkpoint. */
export async function findEndOfLastRecord(wal: SearchedWal, yielder: Yielder): Promise<WalSearchResult> {
  const ends: bigint[] = []
  const walked = await walk(wal, yielder, () => (_view, _at, _known, endLsn) => ends.push(endLsn) === 2)
  const [endLsn, next] = ends
  if (next !== undefined)
    return { fault: `the WAL in "${wal.source.place}" goes on after the checkpoint of the shutdown` }
  if (endLsn !== undefined) return { endLsn }
  return 'fault' in walked ? walked : { fault: describeEnd(wal, walked) }
}

/** Finds where the WAL ends, as recovery would. What looks like damage, because WAL goes on behind it, is none. */
export async function findEndOfWal(wal: SearchedWal, yielder: Yielder): Promise<WalSearchResult> {
  let endLsn: bigint | undefined
  const later = wal.source.names.find((name) => Number.parseInt(name.slice(0, 8), 16) > wal.timeline)
  if (later !== undefined) return { fault: `"${wal.source.place}" has WAL of a later timeline ("${later}")` }
  const walked = await walk(wal, yielder, () => (_view, _at, _known, end) => {
    endLsn = end
    return false
  })
  if ('fault' in walked) return walked
  if (endLsn === undefined) return { fault: describeEnd(wal, walked) }
  const { stop } = walked
  if (stop === undefined || !(await goesOnBehind(wal, walked, stop.lsn, yielder))) return { endLsn }
  return { fault: `${describeEnd(wal, walked)}, but goes on behind that: it is damaged` }
}

interface Walked {
  readonly lastSegment: bigint
  readonly pageMagic: number
  /** Where reading stopped, and why; `undefined` when it came to the end of the last segment. */
  readonly stop: { readonly lsn: bigint; readonly reason: string } | undefined
}

/** Reads the records of all segments that follow each other. */
async function walk(
  wal: SearchedWal,
  yielder: Yielder,
  listen: (format: WalFormat) => RecordListener,
): Promise<Walked | { readonly fault: string }> {
  const { source, segmentSize, timeline, startLsn, systemIdentifier } = wal
  const firstSegment = segmentHoldingStart(startLsn, segmentSize)
  const present = new Set(
    source.names.flatMap((name) => {
      const segment = parseWalSegmentName(name, segmentSize)
      return segment?.timeline === timeline ? [segment.segmentNumber] : []
    }),
  )
  const firstName = walSegmentName(timeline, firstSegment, segmentSize)
  const header = present.has(firstSegment) ? await readFirstPageHeader(source, firstName) : undefined
  if (header === undefined) {
    const why = source.failure === undefined ? '' : ` (${source.failure})`
    return { fault: `WAL segment "${firstName}" is not in "${source.place}"${why}` }
  }
  const format = findWalFormat(header.magic)
  if (format === undefined) {
    return {
      fault: `WAL segment "${firstName}" in "${source.place}" is not of a version of PostgreSQL that is known`,
    }
  }
  let lastSegment = firstSegment
  while (present.has(lastSegment + 1n)) lastSegment++
  const endLsn = (lastSegment + 1n) * BigInt(segmentSize)
  const { fault: stop } = await runYielding(
    walkPart(
      source,
      { pageMagic: header.magic, timeline, segmentSize, systemIdentifier, endLsn },
      { firstSegment, lastSegment, lastPresentSegment: lastSegment, startLsn, position: undefined },
      createWalBuffer(WAL_BUFFER_BYTES),
      listen(format),
    ),
    yielder,
  )
  return { lastSegment, pageMagic: header.magic, stop }
}

function describeEnd({ source, timeline, segmentSize }: SearchedWal, { stop, lastSegment }: Walked): string {
  const at =
    stop === undefined
      ? `with segment "${walSegmentName(timeline, lastSegment, segmentSize)}"`
      : `at ${formatLsn(stop.lsn)} (${stop.reason})`
  return `the WAL in "${source.place}" ends ${at}`
}

/** Whether a page behind this place is one of this WAL, and not what a segment held before it was used again. */
async function goesOnBehind(
  wal: SearchedWal,
  { lastSegment, pageMagic }: Walked,
  lsn: bigint,
  yielder: Yielder,
): Promise<boolean> {
  const { source, segmentSize, timeline } = wal
  const header = Buffer.alloc(WAL_PAGE_LONG_HEADER_SIZE)
  const pageBytes = BigInt(WAL_BLOCK_SIZE)
  const next = (lsn / pageBytes + 1n) * pageBytes
  for (let segment = segmentHoldingStart(next, segmentSize); segment <= lastSegment; segment++) {
    const begin = segment * BigInt(segmentSize)
    const reader = source.open(walSegmentName(timeline, segment, segmentSize))
    try {
      for (let at = next > begin ? Number(next - begin) : 0; at < segmentSize; at += WAL_BLOCK_SIZE) {
        if ((await reader.read(header, at)) < header.length) break
        const { magic, pageAddress } = parseWalPageHeader(header, 0)
        if (magic === pageMagic && pageAddress === begin + BigInt(at)) return true
        if (yielder.isDue) await yielder.yield()
      }
    } finally {
      reader.close()
    }
  }
  return false
}
