import { parseWalSegmentName, segmentHoldingEnd, segmentHoldingStart } from '../../postgres/wal-segment.js'
import type { WalFile } from '../cluster-files/cluster-files.js'

/** A stretch of WAL; open where nothing is given. */
export interface WalBounds {
  readonly startLsn: bigint | undefined
  readonly endLsn: bigint | undefined
}

/**
 * The segments that hold this stretch, of whatever timeline, and all timeline history files: what a server adds to a
 * backup.
 *
 * @see src/backend/backup/basebackup.c (`perform_base_backup`)
 */
export function selectWalFiles(
  files: readonly WalFile[],
  { startLsn, endLsn }: WalBounds,
  segmentSize: number,
): WalFile[] {
  const first = startLsn === undefined ? 0n : segmentHoldingStart(startLsn, segmentSize)
  const last = endLsn === undefined ? undefined : segmentHoldingEnd(endLsn, segmentSize)
  return files.filter(({ name }) => {
    if (/^[0-9A-F]{8}\.history$/.test(name)) return true
    const segment = parseWalSegmentName(name, segmentSize)
    if (segment === undefined) return false
    return segment.segmentNumber >= first && (last === undefined || segment.segmentNumber <= last)
  })
}
