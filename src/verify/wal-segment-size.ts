import { closeSync, readSync } from 'node:fs'
import { openRegularFile } from '../files/open-regular-file.js'
import { parseWalPageHeader, WAL_PAGE_LONG_HEADER_SIZE } from '../postgres/wal-page-header.js'
import { isWalSegmentSize } from '../postgres/wal-segment.js'

/** The size of WAL segments by what the first readable segment says of itself, where pg_control cannot be asked. */
export function findWalSegmentSize(paths: Iterable<string>): number | undefined {
  for (const path of [...paths].toSorted()) {
    const size = readSegmentSize(path)
    if (size !== undefined) return size
  }
  return undefined
}

function readSegmentSize(path: string): number | undefined {
  try {
    const { descriptor } = openRegularFile(path)
    try {
      const header = Buffer.alloc(WAL_PAGE_LONG_HEADER_SIZE)
      readSync(descriptor, header, 0, header.length, 0)
      const size = parseWalPageHeader(header, 0).long?.segmentSize
      return size !== undefined && isWalSegmentSize(size) ? size : undefined
    } finally {
      closeSync(descriptor)
    }
  } catch {
    return undefined
  }
}
