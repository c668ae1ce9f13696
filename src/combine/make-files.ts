import { PbManifestError } from '../errors.js'
import type { Pathname } from '../files/pathname.js'
import { MUCH_WORK } from '../manifest/checksum/create-file-hasher.js'
import { Claims } from '../threads/claims.js'
import { PrestartedThread } from '../threads/prestarted-thread.js'
import type { StartMessage } from '../threads/supervised-thread.js'
import { type DoneMessage, ThreadPool } from '../verify/thread-pool.js'
import type { Problem } from '../verify/report.js'
import { type CombiningMessage, counters, type StartCombining } from './combine-shares.js'
import type { BadPages } from './judge-pages.js'
import type { CombinedFile } from './options.js'
import { packShares, type ResultFile } from './plan-shares.js'

const file = new URL('combine-worker.js', import.meta.url)

/** A thread that makes files, before it is known which. */
export type CombineThread = PrestartedThread<StartMessage<StartCombining>, CombiningMessage | DoneMessage>

/** Starts the first thread, which loads its program while the inputs are checked. Whoever calls this closes it. */
export function prestartCombining(): CombineThread {
  return new PrestartedThread(file)
}

/** To start a thread for less takes longer than to read it. */
const BYTES_PER_THREAD = 8 * 1024 * 1024
const FILES_PER_THREAD = 500

const PROGRESS_MS = 250

/** Which files are made, and how. */
export interface MakeFilesOptions extends Omit<
  StartCombining,
  'shares' | 'isMuch' | 'claims' | 'counts' | 'doom' | 'tellsFiles'
> {
  readonly files: readonly ResultFile[]
  readonly jobs: number
  /** Becomes the first thread. */
  readonly prestarted: CombineThread
  readonly onProgress: ((bytesDone: number) => void) | undefined
  readonly onFile: ((file: CombinedFile) => void) | undefined
  readonly onWarning: (message: string) => void
  readonly signal: AbortSignal | undefined
}

/** What was wrong with an input. */
interface FoundProblem {
  readonly place: number
  readonly backup: number
  readonly problem: Problem
}

/** What became of all files. */
export interface MadeFiles {
  /** In the order of the files. */
  readonly problems: readonly FoundProblem[]
  readonly badPages: readonly BadPages[]
  readonly totals: Readonly<Record<(typeof counters)[number], number>>
  /** From each backup, of files that were put together. */
  readonly blocks: readonly number[]
  /** How many fragments there are besides the leader's. */
  readonly shares: number
}

/**
 * Makes the files of the result in threads.
 *
 * @throws {@link PbManifestError} `IO` or `ABORTED`; then no thread writes any more
 */
export async function makeFiles(options: MakeFilesOptions): Promise<MadeFiles> {
  const { files, jobs, prestarted, onProgress, onFile, onWarning, signal, ...how } = options
  const threads = planThreads(files, jobs)
  const shares = packShares(files, threads)
  const claims = new Claims()
  const counts = new BigInt64Array(
    new SharedArrayBuffer((counters.length + how.backups.length) * BigInt64Array.BYTES_PER_ELEMENT),
  )
  const problems: FoundProblem[] = []
  const badPages: BadPages[] = []
  const directoryOf = (backup: number): string => how.backups[backup]?.directory ?? ''
  const pool = new ThreadPool<StartCombining, CombiningMessage>({
    file,
    prestarted,
    start: {
      ...how,
      shares,
      isMuch: sumOfCosts(files) >= threads * MUCH_WORK,
      claims: claims.buffer,
      counts: counts.buffer,
      doom: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
      tellsFiles: onFile !== undefined,
    },
    onMessage: (message) => {
      switch (message.type) {
        case 'problem':
          problems.push(message)
          return
        case 'pages':
          badPages.push(message)
          return
        case 'warning':
          onWarning(message.message)
          return
        case 'file':
          onFile?.(describeFile(message.file, directoryOf))
          return
        case 'failed': {
          const { code, details, hint } = message
          throw new PbManifestError(code, message.message, { details, ...(hint !== undefined && { hint }) })
        }
        default:
          message satisfies never
      }
    },
    abandon: () => claims.abandon(),
  })
  const countOf = (at: number): number => Number(Atomics.load(counts, at))
  const report = (): void => onProgress?.(countOf(counters.indexOf('bytesRead')))
  const timer = setInterval(report, PROGRESS_MS)
  try {
    pool.growTo(threads)
    await pool.finish(signal)
    report()
  } finally {
    clearInterval(timer)
    await pool.close()
  }
  return {
    problems: problems.toSorted((left, right) => left.place - right.place),
    badPages,
    totals: Object.fromEntries(counters.map((counter, at) => [counter, countOf(at)])) as MadeFiles['totals'],
    blocks: how.backups.map((_, backup) => countOf(counters.length + backup)),
    shares: shares.order.length,
  }
}

function planThreads(files: readonly ResultFile[], jobs: number): number {
  const worthwhile = Math.max(sumOfCosts(files) / BYTES_PER_THREAD, files.length / FILES_PER_THREAD)
  return Math.max(1, Math.min(jobs, Math.ceil(worthwhile)))
}

function sumOfCosts(files: readonly ResultFile[]): number {
  return files.reduce((sum, { cost }) => sum + cost, 0)
}

function describeFile(
  {
    pathname,
    wholeFrom,
    blocks,
    zeroBlocks,
  }: {
    readonly pathname: Pathname
    readonly wholeFrom: number | undefined
    readonly blocks: readonly number[]
    readonly zeroBlocks: number
  },
  directoryOf: (backup: number) => string,
): CombinedFile {
  if (wholeFrom !== undefined)
    return { pathname, directory: directoryOf(wholeFrom), blocks: undefined, zeroBlocks }
  const used = blocks.flatMap((count, backup) =>
    count === 0 ? [] : [{ directory: directoryOf(backup), blocks: count }],
  )
  return { pathname, directory: undefined, blocks: used, zeroBlocks }
}
