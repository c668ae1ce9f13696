import { SharedRate } from '../../threads/shared-rate.js'
import { createWalBuffer } from '../../postgres/wal/wal-buffer.js'
import type { Yielder } from '../../files/yielder.js'
import { planParts, type SegmentRun, wholeRun } from './plan-parts.js'
import type { WalSource } from './wal-source.js'
import {
  type ExpectedWal,
  type PartFault,
  type PartResult,
  type PartWalk,
  WAL_BUFFER_BYTES,
  walkPart,
  type WalPart,
} from './walk-part.js'
import type { FirstTouches } from '../../postgres/wal/block-touches.js'
import type { FirstRecord, WalPosition } from '../../postgres/wal/wal-stretch.js'
import { PbManifestError } from '../../errors.js'
import { Claims } from '../../threads/claims.js'
import { WakeUp } from '../../threads/wake-up.js'
import { ThreadPool } from '../thread-pool.js'
import type { PartWalked, StartWalking } from './walk-parts.js'

/** To start a thread for less takes longer than to read it: a run of up to two of these is read in the main thread. */
const BYTES_PER_THREAD = 32 * 1024 * 1024

/** With what a run is read. */
interface RunReaders {
  readonly source: WalSource
  /** How many threads may read. */
  readonly jobs: number
  readonly yielder: Yielder
  readonly signal: AbortSignal | undefined
  /** What is read in a second, in kB; `undefined`: no limit. */
  readonly maxRate?: number | undefined
}

/** Reads all records of a run of segments; in several threads when it is long. The result is the same. */
export async function walkRun(
  readers: RunReaders,
  expected: ExpectedWal,
  run: SegmentRun,
): Promise<RunResult> {
  const { source, jobs, yielder, signal, maxRate } = readers
  const rate = SharedRate.begin(maxRate)
  const buffer = createWalBuffer(WAL_BUFFER_BYTES)
  const walk = (part: WalPart): Promise<PartResult> =>
    runYielding(
      walkPart(source, expected, part, buffer),
      yielder,
      rate && (() => rate.take(WAL_BUFFER_BYTES, signal)),
    )
  const bytes = Number(run.lastSegment - run.firstSegment + 1n) * expected.segmentSize
  const threads = Math.min(jobs, Math.floor(bytes / BYTES_PER_THREAD))
  const { description } = source
  if (threads < 2 || description === undefined) {
    const { records, fault, touches } = await walk(wholeRun(run))
    return { records, fault, touches: touches === undefined ? [] : [touches] }
  }

  const parts = planParts(run, expected.segmentSize)
  const pool = new WalPool({ source: description, expected, parts, rate: rate?.buffer })
  try {
    pool.start(threads, signal)
    return await joinParts(parts, expected.segmentSize, (index) => pool.resultOf(index), walk)
  } finally {
    await pool.close()
  }
}

/**
 * Runs a walk to its end, giving way on the way.
 *
 * @param pause - is waited for after each buffer
 */
export async function runYielding(
  walk: PartWalk,
  yielder: Yielder,
  pause?: () => Promise<void>,
): Promise<PartResult> {
  try {
    let step = walk.next()
    while (step.done !== true) {
      const reading = step.value && outcomeOf(walk, step.value)
      await pause?.()
      if (yielder.isDue) await yielder.yield()
      step = reading === undefined ? walk.next() : (await reading)()
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

/** How the walk goes on when this has been read; never rejects, since it may fail before anybody waits for it. */
function outcomeOf(walk: PartWalk, reading: Promise<number>): Promise<() => ReturnType<PartWalk['next']>> {
  return reading.then(
    (length) => () => walk.next(length),
    (error: unknown) => () => walk.throw(error),
  )
}

/** What came of reading a run of segments. */
export interface RunResult {
  readonly records: number
  /** The first thing that is wrong. */
  readonly fault: PartFault | undefined
  /** What the parts have touched, in their order. */
  readonly touches: readonly FirstTouches[]
}

/**
 * Joins what came of the parts of a run, in their order, into what one reader would have found.
 *
 * A part was begun by a guess: that the first page's header is right about where the first record begins. Where the part
 * before it has ended somewhere else, or after another record, the part is read again from there. So damage at a border is
 * found as it would be without a border.
 *
 * @param resultOf - what came of a part that was begun by a guess
 * @param walkFrom - reads a part that begins at a known position
 */
export async function joinParts(
  parts: readonly WalPart[],
  segmentSize: number,
  resultOf: (index: number) => Promise<PartResult>,
  walkFrom: (part: WalPart) => Promise<PartResult>,
): Promise<RunResult> {
  let records = 0
  const touches: FirstTouches[] = []
  let position: WalPosition | undefined
  for (const [index, part] of parts.entries()) {
    const segment = position === undefined ? part.firstSegment : position.lsn / BigInt(segmentSize)
    // A record, or a SWITCH behind it, may fill whole parts.
    if (segment > part.lastSegment) continue
    let result = await resultOf(index)
    if (position !== undefined && !goesOnFrom(position, result.first)) {
      result = await walkFrom({ ...part, firstSegment: segment, position })
    }
    records += result.records
    if (result.touches !== undefined) touches.push(result.touches)
    if (result.fault !== undefined || result.isDone) return { records, fault: result.fault, touches }
    position = result.position ?? position
  }
  return { records, fault: undefined, touches }
}

function goesOnFrom(position: WalPosition, first: FirstRecord | undefined): boolean {
  return (
    first !== undefined &&
    position.abandonedLsn === undefined &&
    first.lsn === position.lsn &&
    first.previousLsn === position.previousLsn &&
    first.timeline >= position.timeline
  )
}

const file = new URL('wal-worker.js', import.meta.url)

/** Threads that read the parts of one run of segments, the first part first. */
class WalPool {
  readonly #threads: ThreadPool<StartWalking, PartWalked>
  readonly #results = new Map<number, PartResult>()
  #failure: unknown
  readonly #wakeUp = new WakeUp()

  constructor(start: Omit<StartWalking, 'claims'>) {
    const claims = new Claims()
    this.#threads = new ThreadPool({
      file,
      start: { ...start, claims: claims.buffer },
      onMessage: ({ index, result }) => {
        this.#results.set(index, result)
        this.#wakeUp.wake()
      },
      abandon: () => claims.abandon(),
    })
  }

  /**
   * Starts so many threads; `close` ends them, also when not all could be started.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more of them
   */
  start(threads: number, signal: AbortSignal | undefined): void {
    this.#threads.growTo(threads)
    void this.#watch(signal)
  }

  /**
   * Waits for what comes of a part.
   *
   * @throws {@link PbManifestError} `ABORTED`, or `IO` when a thread dies
   */
  async resultOf(index: number): Promise<PartResult> {
    for (;;) {
      const result = this.#results.get(index)
      this.#results.delete(index)
      if (result !== undefined) return result
      if (this.#failure !== undefined) throw this.#failure
      await this.#wakeUp.wait()
    }
  }

  /** Ends the threads, and waits for it. */
  async close(): Promise<void> {
    await this.#threads.close()
  }

  /** What has come before the end is there at the end: nothing more will. */
  async #watch(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#threads.finish(signal)
      this.#failure = new PbManifestError('IO', 'worker threads ended without a result')
    } catch (error) {
      this.#failure = error
    }
    this.#wakeUp.wake()
  }
}
