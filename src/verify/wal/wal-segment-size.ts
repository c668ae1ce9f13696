import {
  parseWalPageHeader,
  WAL_PAGE_LONG_HEADER_SIZE,
  type WalPageHeader,
} from '../../postgres/wal-page-header.js'
import { isWalSegmentSize } from '../../postgres/wal-segment.js'
import type { WalSource } from './wal-source.js'

/** The size of WAL segments by what the first readable segment says of itself, where pg_control cannot be asked. */
export function findWalSegmentSize(source: WalSource): number | undefined {
  for (const name of source.names.toSorted()) {
    const size = readFirstPageHeader(source, name)?.long?.segmentSize
    if (size !== undefined && isWalSegmentSize(size)) return size
  }
  return undefined
}

/** What the first page of a segment says of itself; `undefined` when it cannot be read. */
export function readFirstPageHeader(source: WalSource, name: string): WalPageHeader | undefined {
  try {
    const segment = source.open(name)
    try {
      const header = Buffer.alloc(WAL_PAGE_LONG_HEADER_SIZE)
      segment.read(header, 0)
      return parseWalPageHeader(header, 0)
    } finally {
      segment.close()
    }
  } catch {
    return undefined
  }
}
