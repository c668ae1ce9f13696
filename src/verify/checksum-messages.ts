import type { FileOutcome, FileToCheck } from './check-file.js'

/** Files for a worker to check. Their outcomes come back in the same order. */
export interface CheckBatch {
  readonly files: readonly FileToCheck[]
}

/** What came of a batch. */
export interface BatchOutcome {
  readonly outcomes: readonly FileOutcome[]
}

/** What a worker is started with. */
export interface ChecksumWorkerData {
  /** One 64-bit counter, shared by all: bytes read so far. */
  readonly bytesRead: SharedArrayBuffer
}
