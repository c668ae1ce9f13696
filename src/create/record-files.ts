import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { PbManifestError } from '../errors.js'
import type { ChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { createBackupId, fragmentFileName } from '../manifest/fragment/backup-id.js'
import type { Yielder } from '../files/yielder.js'
import { Claims } from '../threads/claims.js'
import { ThreadPool } from '../verify/thread-pool.js'
import type { PlannedFiles } from './planned-files.js'
import type { StartWriting, WritingFailure, WritingMessage } from './write-shares.js'

const file = new URL('fragment-worker.js', import.meta.url)

/** To start a thread for less takes longer than to read it. */
const BYTES_PER_THREAD = 8 * 1024 * 1024
const FILES_PER_THREAD = 1000

const PROGRESS_MS = 250

/** Which files are recorded, and how. */
export interface RecordFilesOptions {
  readonly directory: string
  readonly files: PlannedFiles
  /** Where fragments are while they are needed. */
  readonly fragmentDirectory: string
  readonly checksumAlgorithm: ChecksumAlgorithm
  readonly jobs: number
  readonly onProgress?: ((bytesDone: number) => void) | undefined
  readonly signal: AbortSignal | undefined
  readonly yielder: Yielder
}

/** Fragments that nobody has merged yet. */
export interface RecordedFiles {
  readonly fragments: readonly string[]
  /** Removes them. Never throws. */
  readonly remove: () => Promise<void>
}

/**
 * Records files in fragments, a thread each.
 *
 * @throws {@link PbManifestError} `IO` or `ABORTED`; then no fragment remains
 */
export async function recordFiles(options: RecordFilesOptions): Promise<RecordedFiles> {
  const { directory, files, fragmentDirectory, checksumAlgorithm, signal, yielder } = options
  const workers = planWorkers(options)
  const shares = await files.divide(workers, yielder)
  const backupId = createBackupId()
  const claims = new Claims()
  const bytesDone = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT))
  const fragments = Array.from({ length: workers }, (_, worker) =>
    join(fragmentDirectory, fragmentFileName(backupId, worker)),
  )
  const remove = async (): Promise<void> => {
    for (const fragment of fragments) await unlink(fragment).catch(() => {})
  }
  const failures: WritingFailure[] = []
  const pool = new ThreadPool<StartWriting, WritingMessage>({
    file,
    start: {
      directory,
      fragmentDirectory,
      backupId,
      checksumAlgorithm,
      shares,
      claims: claims.buffer,
      bytesDone: bytesDone.buffer,
    },
    onMessage: (message) => {
      if (message.type !== 'failed') return
      failures.push(message)
      // Of files, all are named; anything else would not be better for the rest.
      if (message.details.length === 0) throwFailures(failures, files.count)
    },
    abandon: () => claims.abandon(),
  })
  const report = (): void => options.onProgress?.(Number(Atomics.load(bytesDone, 0)))
  const timer = setInterval(report, PROGRESS_MS)
  let isDone = false
  try {
    pool.growTo(workers)
    await pool.finish(signal)
    throwFailures(failures, files.count)
    report()
    isDone = true
    return { fragments, remove }
  } finally {
    clearInterval(timer)
    await pool.close()
    if (!isDone) await remove()
  }
}

function planWorkers({ files, jobs }: RecordFilesOptions): number {
  const worthwhile = Math.max(files.bytes / BYTES_PER_THREAD, files.count / FILES_PER_THREAD)
  return Math.max(1, Math.min(jobs, Math.ceil(worthwhile)))
}

/** One error for all files that could not be recorded, by whichever thread; others come first. */
function throwFailures(failures: readonly WritingFailure[], files: number): void {
  const [first, ...others] = failures.toSorted((one, other) => one.details.length - other.details.length)
  if (first === undefined) return
  const { code, message, hint } = first
  const details = [first, ...others].flatMap((failure) => failure.details)
  const isOfFiles = first.details.length > 0
  throw new PbManifestError(
    code,
    isOfFiles ? `could not record ${details.length} of ${files} files` : message,
    {
      details: isOfFiles ? details.toSorted() : [],
      ...(hint !== undefined && { hint }),
    },
  )
}
