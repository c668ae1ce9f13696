import { comparePathnames } from '../files/pathname.js'
import type { ManifestFile } from '../manifest/model.js'

const MAX_FILES = 64
const MAX_BYTES = 16 * 1024 * 1024

/** The order in which files are read: the largest first, so that no thread is left with one at the end. */
export function orderForReading<File extends Pick<ManifestFile, 'pathname' | 'size'>>(
  files: readonly File[],
): File[] {
  return files.toSorted(
    (left, right) => right.size - left.size || comparePathnames(left.pathname, right.pathname),
  )
}

/** Cuts an ordered list into pieces that are worth a message, and small enough to be shared evenly. */
export function* planBatches<File extends Pick<ManifestFile, 'size'>>(
  files: readonly File[],
): Generator<readonly File[], void, undefined> {
  let start = 0
  let bytes = 0
  for (const [index, file] of files.entries()) {
    bytes += file.size
    if (index + 1 - start < MAX_FILES && bytes < MAX_BYTES) continue
    yield files.slice(start, index + 1)
    start = index + 1
    bytes = 0
  }
  if (start < files.length) yield files.slice(start)
}
