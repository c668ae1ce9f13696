import { isPbManifestError } from '../../errors.js'
import {
  parseWalPageHeader,
  WAL_PAGE_LONG_HEADER_SIZE,
  type WalPageHeader,
} from '../../postgres/wal-page-header.js'
import { isWalSegmentSize } from '../../postgres/wal-segment.js'
import type { WalSource } from './wal-source.js'

/**
 * The size of WAL segments by what the first readable segment says of itself, where pg_control cannot be asked; by how long
 * it is, where nothing more can be had.
 */
export async function findWalSegmentSize(source: WalSource): Promise<number | undefined> {
  for (const name of source.names.toSorted()) {
    const size =
      source.whyNoBytes === undefined
        ? (await readFirstPageHeader(source, name))?.long?.segmentSize
        : source.open(name).size
    if (size !== undefined && isWalSegmentSize(size)) return size
  }
  return undefined
}

/**
 * What the first page of a segment says of itself; `undefined` when it cannot be read.
 *
 * @throws {@link PbManifestError} `ABORTED`
 */
export async function readFirstPageHeader(
  source: WalSource,
  name: string,
): Promise<WalPageHeader | undefined> {
  try {
    const segment = source.open(name)
    try {
      const header = Buffer.alloc(WAL_PAGE_LONG_HEADER_SIZE)
      await segment.read(header, 0)
      return parseWalPageHeader(header, 0)
    } finally {
      segment.close()
    }
  } catch (error) {
    if (isPbManifestError(error)) throw error
    return undefined
  }
}
