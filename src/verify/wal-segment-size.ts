import { closeSync, readdirSync, readSync } from 'node:fs'
import { openRegularFile } from '../files/open-regular-file.js'
import { parseWalPageHeader, WAL_PAGE_LONG_HEADER_SIZE } from '../postgres/wal-page-header.js'
import { isWalSegmentSize } from '../postgres/wal-segment.js'

/** The size of WAL segments by what the first readable segment says of itself, where pg_control cannot be asked. */
export function findWalSegmentSize(directories: readonly string[]): number | undefined {
  for (const directory of directories) {
    for (const name of listSegments(directory)) {
      const size = readSegmentSize(`${directory}/${name}`)
      if (size !== undefined) return size
    }
  }
  return undefined
}

function listSegments(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /^[0-9A-F]{24}$/.test(name))
      .toSorted()
  } catch {
    // That the WAL is not there is reported where it is needed.
    return []
  }
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
