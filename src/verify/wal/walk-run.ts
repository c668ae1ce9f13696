import { createWalBuffer } from '../../postgres/wal/wal-buffer.js'
import type { Yielder } from '../../files/yielder.js'
import { joinParts, type RunResult } from './join-parts.js'
import { planParts, type SegmentRun, wholeRun } from './plan-parts.js'
import { WalPool } from './wal-pool.js'
import type { WalSource } from './wal-source.js'
import {
  type ExpectedWal,
  type PartResult,
  type PartWalk,
  WAL_BUFFER_BYTES,
  type WalPart,
  walkPart,
} from './walk-part.js'

/** To start a thread for less takes longer than to read it: a run of up to two of these is read in the main thread. */
const BYTES_PER_THREAD = 32 * 1024 * 1024

/** With what a run is read. */
export interface RunReaders {
  readonly source: WalSource
  /** How many threads may read. */
  readonly jobs: number
  readonly yielder: Yielder
  readonly signal: AbortSignal | undefined
}

/** Reads all records of a run of segments; in several threads when it is long. The result is the same. */
export async function walkRun(
  readers: RunReaders,
  expected: ExpectedWal,
  run: SegmentRun,
): Promise<RunResult> {
  const { source, jobs, yielder, signal } = readers
  const buffer = createWalBuffer(WAL_BUFFER_BYTES)
  const walk = (part: WalPart): Promise<PartResult> =>
    runYielding(walkPart(source, expected, part, buffer), yielder)
  const bytes = Number(run.lastSegment - run.firstSegment + 1n) * expected.segmentSize
  const threads = Math.min(jobs, Math.floor(bytes / BYTES_PER_THREAD))
  const { description } = source
  if (threads < 2 || description === undefined) {
    const { records, fault, touches } = await walk(wholeRun(run))
    return { records, fault, touches: touches === undefined ? [] : [touches] }
  }

  const parts = planParts(run, expected.segmentSize)
  const pool = new WalPool({ source: description, expected, parts })
  try {
    pool.start(threads, signal)
    return await joinParts(parts, expected.segmentSize, (index) => pool.resultOf(index), walk)
  } finally {
    await pool.close()
  }
}

async function runYielding(walk: PartWalk, yielder: Yielder): Promise<PartResult> {
  try {
    let step = walk.next()
    while (step.done !== true) {
      if (yielder.isDue) await yielder.yield()
      step = step.value === undefined ? walk.next() : await goOnWith(walk, step.value)
    }
    return step.value
  } finally {
    // Closes the segment when the walk is left in its middle.
    walk.return({
      records: 0,
      first: undefined,
      position: undefined,
      isDone: false,
      fault: undefined,
      touches: undefined,
    })
  }
}

async function goOnWith(walk: PartWalk, reading: Promise<number>): Promise<ReturnType<PartWalk['next']>> {
  const goOn = await reading.then(
    (length) => () => walk.next(length),
    (error: unknown) => () => walk.throw(error),
  )
  return goOn()
}
