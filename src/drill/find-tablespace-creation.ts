import type { Yielder } from '../files/yielder.js'
import type { ControlFile } from '../postgres/control-file.js'
import { findVersion } from '../postgres/versions.js'
import { parseWalSegmentName, segmentHoldingStart } from '../postgres/wal-segment.js'
import { listWalSegments } from '../verify/wal/list-wal-segments.js'
import { findRuns } from '../verify/wal/plan-parts.js'
import { walkRun } from '../verify/wal/walk-run.js'

/** What of a backup says where its recovery begins. */
export interface RecoveryStart {
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
export async function makesTablespace(
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
