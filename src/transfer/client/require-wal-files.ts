import { PbManifestError } from '../../errors.js'
import {
  parseWalSegmentName,
  segmentHoldingEnd,
  segmentHoldingStart,
  walSegmentName,
} from '../../postgres/wal-segment.js'
import { timelineHistoryFileName } from '../../postgres/timeline-history.js'
import type { BackupPositions } from '../../manifest/wal-ranges.js'
import type { WalFile } from '../cluster-files/cluster-files.js'

/**
 * The files of pg_wal that the backup needs, of those that the server has.
 *
 * @throws {@link PbManifestError} `SERVER` when one of them is gone
 * @see src/backend/backup/basebackup.c (`perform_base_backup`)
 */
export function requireWalFiles(
  files: readonly WalFile[],
  positions: BackupPositions,
  segmentSize: number,
): readonly WalFile[] {
  const { startLsn, startTimeline, endLsn, endTimeline } = positions
  const first = segmentHoldingStart(startLsn, segmentSize)
  const last = segmentHoldingEnd(endLsn, segmentSize)
  const present = new Set(files.map(({ name }) => parseWalSegmentName(name, segmentSize)?.segmentNumber))
  for (let number = first; number <= last; number++) {
    if (!present.has(number)) throw removed(walSegmentName(startTimeline, number, segmentSize))
  }
  // The ends have to be of their timelines; between them, any of several with the same number may be the right one.
  requireFile(files, walSegmentName(startTimeline, first, segmentSize))
  requireFile(files, walSegmentName(endTimeline, last, segmentSize))
  if (endTimeline !== startTimeline) requireFile(files, timelineHistoryFileName(endTimeline))
  for (const { name, size } of files) {
    if (name.length === 24 && size !== segmentSize) {
      throw new PbManifestError('SERVER', `unexpected WAL file size "${name}"`)
    }
  }
  return files
}

/** What the server says when a segment was removed or recycled before it could be sent. */
export function removed(name: string): PbManifestError {
  return new PbManifestError('SERVER', `requested WAL segment ${name} has already been removed`, {
    hint: 'Receive WAL while files are copied (-X stream, the default), or have the server keep more of it (wal_keep_size).',
  })
}

function requireFile(files: readonly WalFile[], name: string): void {
  if (!files.some((file) => file.name === name)) throw removed(name)
}
