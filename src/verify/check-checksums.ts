import { pathOf } from '../files/path-of.js'
import type { ManifestFile } from '../manifest/model.js'
import type { FileOutcome, FileToCheck } from './check-file.js'
import { ChecksumPool } from './checksum-pool.js'
import type { VerifyProgress } from './options.js'
import { orderForReading, planBatches } from './plan-batches.js'
import { fileProblem, type ProblemList, StopAtFirstProblem } from './problems.js'
import type { Problem } from './report.js'

const PROGRESS_INTERVAL_MS = 100

/** What to read, and how. */
export interface ChecksumContext {
  readonly directory: string
  /** Files that are there with the right size. */
  readonly files: readonly ManifestFile[]
  readonly jobs: number
  readonly problems: ProblemList
  readonly signal: AbortSignal | undefined
  readonly onProgress: ((progress: VerifyProgress) => void) | undefined
}

/** How much was read and compared. */
export interface ChecksumTotals {
  filesChecked: number
  bytesChecked: number
}

/** A manifest file with a checksum. */
type SummedFile = ManifestFile & { readonly checksum: NonNullable<ManifestFile['checksum']> }

/**
 * Reads all files that have a checksum and compares it, in threads.
 *
 * @param totals - is kept up to date, also when this ends early
 * @throws {@link PbManifestError} `ABORTED`, or `IO` when a thread dies
 */
export async function checkChecksums(context: ChecksumContext, totals: ChecksumTotals): Promise<void> {
  const files = orderForReading(context.files.filter(hasChecksum))
  if (files.length === 0) return
  const batches = [...planBatches(files)]
  const pool = new ChecksumPool(Math.min(context.jobs, batches.length))
  const progress = startProgress(context, files, pool)
  try {
    await checkInPool(pool, batches, context, totals)
    progress.finish()
  } finally {
    progress.stop()
    await pool.close()
  }
}

async function checkInPool(
  pool: ChecksumPool,
  batches: readonly (readonly SummedFile[])[],
  context: ChecksumContext,
  totals: ChecksumTotals,
): Promise<void> {
  const files = batches.flat()
  let position = 0
  let stopped: StopAtFirstProblem | undefined
  const take = (outcomes: readonly FileOutcome[]): boolean => {
    try {
      for (const outcome of outcomes) {
        const file = files[position++] as SummedFile
        if (outcome.type === 'match' || outcome.type === 'mismatch') {
          totals.filesChecked++
          totals.bytesChecked += file.size
        }
        const problem = problemOf(file, outcome)
        if (problem !== undefined) context.problems.add(problem)
      }
      return true
    } catch (error) {
      if (!(error instanceof StopAtFirstProblem)) throw error
      stopped = error
      return false
    }
  }
  await pool.check(messagesOf(batches, context.directory), take, context.signal)
  if (stopped !== undefined) throw stopped
}

function hasChecksum(file: ManifestFile): file is SummedFile {
  return file.checksum !== undefined
}

function* messagesOf(
  batches: readonly (readonly SummedFile[])[],
  directory: string,
): Generator<FileToCheck[], void, undefined> {
  for (const batch of batches) {
    yield batch.map((file) => ({
      path: pathOf(directory, file.pathname),
      size: file.size,
      algorithm: file.checksum.algorithm,
      checksum: file.checksum.hex,
    }))
  }
}

function problemOf(file: SummedFile, outcome: FileOutcome): Problem | undefined {
  const { pathname, size } = file
  switch (outcome.type) {
    case 'match':
      return undefined
    case 'mismatch':
      return fileProblem('checksum-mismatch', pathname, (name) => `checksum mismatch for file "${name}"`)
    case 'wrong size':
      return fileProblem(
        'changed-while-read',
        pathname,
        (name) => `file "${name}" should contain ${size} bytes, but read ${outcome.bytes}`,
      )
    case 'not a file':
      return fileProblem('not-a-file', pathname, (name) => `"${name}" is not a regular file or directory`)
    case 'failed':
      return fileProblem(
        'unreadable',
        pathname,
        (name) => `could not ${outcome.call} file "${name}": ${outcome.message}`,
      )
    default:
      return outcome satisfies never
  }
}

function startProgress(
  context: ChecksumContext,
  files: readonly SummedFile[],
  pool: ChecksumPool,
): { readonly finish: () => void; readonly stop: () => void } {
  const { onProgress } = context
  if (onProgress === undefined) return { finish: () => {}, stop: () => {} }
  const bytesTotal = files.reduce((sum, file) => sum + file.size, 0)
  const tell = (bytes: number): void => onProgress({ bytesDone: Math.min(bytes, bytesTotal), bytesTotal })
  tell(0)
  const timer = setInterval(() => tell(pool.bytesRead), PROGRESS_INTERVAL_MS)
  return { finish: () => tell(bytesTotal), stop: () => clearInterval(timer) }
}
