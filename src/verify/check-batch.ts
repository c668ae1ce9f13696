import type { RealChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { createFileHasher, type FileHasher } from '../manifest/checksum/file-hasher.js'
import { checkFile, type FileOutcome } from './check-file.js'
import type { BatchOutcome, CheckBatch } from './checksum-messages.js'

const BUFFER_BYTES = 256 * 1024

/** Makes a function that checks batches, one after the other, with one buffer and one hasher for each algorithm. */
export function createBatchChecker(
  onBytes: (bytes: number) => void,
): (batch: CheckBatch) => Promise<BatchOutcome> {
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  const hashers = new Map<RealChecksumAlgorithm, FileHasher>()
  return async ({ files }) => {
    const outcomes: FileOutcome[] = []
    for (const file of files) {
      const hasher = hashers.get(file.algorithm) ?? (await createFileHasher(file.algorithm))
      hashers.set(file.algorithm, hasher)
      outcomes.push(checkFile(file, hasher, buffer, onBytes))
    }
    return { outcomes }
  }
}
