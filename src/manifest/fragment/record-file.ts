import type { Yielder } from '../../files/yielder.js'
import { NotARegularFileError, openRegularFile } from '../../files/open-regular-file.js'
import { pathOf } from '../../files/path-of.js'
import { readOpenedFile } from '../../files/read-opened-file.js'
import { describeSystemError } from '../../files/system-error.js'
import type { RealChecksumAlgorithm } from '../checksum/checksum-algorithm.js'
import type { FileHasher } from '../checksum/file-hasher.js'
import { formatLastModified } from '../manifest-parts.js'
import type { ManifestFile } from '../model.js'
import { isUtf8Pathname } from '../../files/pathname.js'
import type { PlannedFile } from './plan-shares.js'

/** How files are read and summed. */
export interface Recorder {
  readonly directory: string
  readonly buffer: Buffer
  readonly hashing: { readonly algorithm: RealChecksumAlgorithm; readonly hasher: FileHasher } | undefined
  readonly yielder: Yielder
}

/**
 * Reads a file whole and makes its manifest entry.
 *
 * @returns a sentence fragment when the file cannot be recorded as it was planned
 */
export async function recordFile(planned: PlannedFile, recorder: Recorder): Promise<ManifestFile | string> {
  try {
    const opened = openRegularFile(pathOf(recorder.directory, planned.pathname))
    const { mtime } = opened.stats
    let size = 0
    recorder.hashing?.hasher.reset()
    for (const chunk of readOpenedFile(opened, recorder.buffer)) {
      recorder.hashing?.hasher.update(chunk)
      size += chunk.length
      if (recorder.yielder.isDue) await recorder.yielder.yield()
    }
    if (size !== planned.size) return `changed size from ${planned.size} to ${size} bytes while it was read`
    return {
      pathname: planned.pathname,
      size,
      lastModified: formatLastModified(mtime),
      checksum: recorder.hashing && {
        algorithm: recorder.hashing.algorithm,
        hex: recorder.hashing.hasher.digest(),
      },
      isPathEncoded: !isUtf8Pathname(planned.pathname),
    }
  } catch (error) {
    if (error instanceof NotARegularFileError) return error.message
    const description = describeSystemError(error)
    if (description === undefined) throw error
    return description.code === 'ENOENT' ? 'vanished while the directory was read' : description.message
  }
}
