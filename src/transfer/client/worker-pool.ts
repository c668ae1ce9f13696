import { PbManifestError } from '../../errors.js'
import type { Pathname } from '../../files/pathname.js'
import type { SessionNotice } from '../session/backup-session.js'
import {
  fromErrorData,
  type MessageFromWorker,
  type MessageToWorker,
  type StartWorker,
} from './worker-messages.js'
import type { ReceivedFile } from './file-receiver.js'
import type { FirstFailure } from './first-failure.js'
import type { Batch } from './plan-batches.js'
import type { JoinableBackup } from './source/source.js'
import { STARTING_AT_ONCE, type PrestartedWorkers, type WorkerThread } from './prestarted-workers.js'

/**
 * A batch no larger than this is given to a worker before it is done with the one before it, so that it never waits. A
 * larger one takes so long that the wait is nothing, and another worker may be free earlier.
 */
const AHEAD_BYTES = 16 * 1024 * 1024

/** What the pool tells as it goes. */
export interface PoolListener {
  readonly onFile: (file: ReceivedFile) => void
  readonly onVanished: (pathname: Pathname) => void
  readonly onNotice: (notice: SessionNotice) => void
}

interface PooledWorker {
  readonly thread: WorkerThread
  /** Given to it and not yet copied, the oldest first. */
  readonly batches: Batch[]
  /** Settles when it is part of the backup. */
  readonly joined: Promise<void>
  readonly markJoined: () => void
  /** Settles when its part of the manifest is complete. */
  readonly left: Promise<void>
  readonly markLeft: () => void
}

/** The worker threads of one backup. What fails in one of them is reported to the backup's {@link FirstFailure}. */
export class WorkerPool {
  readonly #failure: FirstFailure
  readonly #threads: PrestartedWorkers
  readonly #listener: PoolListener
  readonly #workers: PooledWorker[] = []
  readonly #pids: number[] = []
  #join: MessageToWorker | undefined
  /** Workers that have not been started yet. */
  #waiting: StartWorker[] = []
  #batches: readonly Batch[] | undefined
  #next = 0
  #outstanding = 0
  #onCopied: (() => void) | undefined

  /** @param threads - which the workers become */
  constructor(failure: FirstFailure, threads: PrestartedWorkers, listener: PoolListener) {
    this.#failure = failure
    this.#threads = threads
    this.#listener = listener
  }

  /** How many threads there are or were. */
  get started(): number {
    return this.#workers.length
  }

  /** The database server's processes that the threads are connected to, where these are known. */
  get pids(): readonly number[] {
    return this.#pids
  }

  /** A file of those that a worker is at, the first of them. */
  get pathname(): Pathname | undefined {
    return this.#workers.find(({ batches }) => batches.length > 0)?.batches[0]?.[0]?.pathname
  }

  /** Starts the threads, some at a time; none any more once there is nothing left to copy. `stop` is due afterwards. */
  start(starts: readonly StartWorker[]): void {
    this.#waiting = [...starts]
    for (let starting = 0; starting < STARTING_AT_ONCE; starting++) this.#startNext()
  }

  /** The backup has started: lets the workers, those to come as well, take part in it. */
  join(backup: JoinableBackup): void {
    this.#join = { type: 'join', backup }
    for (const worker of this.#workers) send(worker, this.#join)
  }

  /** Has all batches copied, each by the worker that is free first, and all workers seal their fragments. */
  async copy(batches: readonly Batch[]): Promise<void> {
    await this.#copyAll(batches)
    // One that is about to join would be refused once the backup is being stopped.
    this.#waiting = []
    await this.#failure.waitFor(Promise.all(this.#workers.map(({ joined }) => joined)))
    for (const worker of this.#workers) send(worker, { type: 'leave-backup' })
    await this.#failure.waitFor(Promise.all(this.#workers.map(({ left }) => left)))
  }

  /** Has all workers make durable what they wrote, and end. */
  async finish(): Promise<void> {
    this.#waiting = []
    for (const worker of this.#workers) send(worker, { type: 'finish' })
    await this.#failure.waitFor(Promise.all(this.#workers.map(({ thread }) => thread.exit)))
    this.#failure.throwIfFailed()
  }

  /** Tells all workers to end, and waits until they have. Never throws. */
  async stop(): Promise<void> {
    this.#waiting = []
    for (const worker of this.#workers) send(worker, { type: 'stop' })
    await Promise.all(this.#workers.map(({ thread }) => thread.waitFor(thread.exit)))
  }

  async #copyAll(batches: readonly Batch[]): Promise<void> {
    this.#batches = batches
    this.#outstanding = batches.length
    if (batches.length === 0) return
    const done = new Promise<void>((resolve) => {
      this.#onCopied = resolve
    })
    // One round after the other: the largest files go to different workers.
    for (const worker of this.#workers) this.#feed(worker)
    for (const worker of this.#workers) this.#feed(worker)
    await this.#failure.waitFor(done)
  }

  #startNext(): void {
    if (this.#batches !== undefined && this.#next >= this.#batches.length) return
    const start = this.#waiting.shift()
    if (start === undefined) return
    try {
      this.#follow(this.#threads.take(), start)
    } catch (cause) {
      this.#failure.report(this.#explain(cause))
    }
  }

  #follow(thread: WorkerThread, start: StartWorker): void {
    const [joined, left] = [new Mark(), new Mark()]
    const worker: PooledWorker = {
      thread,
      joined: joined.promise,
      markJoined: joined.set,
      left: left.promise,
      markLeft: left.set,
      batches: [],
    }
    this.#workers.push(worker)
    thread.watch({
      onMessage: (message) => this.#accept(worker, message),
      onFailure: (error) => this.#failure.report(this.#explain(error)),
    })
    send(worker, { type: 'start', start })
    if (this.#join !== undefined) send(worker, this.#join)
    this.#feed(worker)
  }

  #accept(worker: PooledWorker, message: MessageFromWorker): void {
    switch (message.type) {
      case 'ready':
        if (message.pid !== undefined) this.#pids.push(message.pid)
        return this.#startNext()
      case 'joined':
        return worker.markJoined()
      case 'left':
        return worker.markLeft()
      case 'copied':
        return this.#acceptCopied(worker, message)
      case 'notice':
        return this.#listener.onNotice(message.notice)
      case 'finished':
        return worker.thread.markDone()
      case 'failed':
        worker.thread.markDone()
        return this.#failure.report(fromErrorData(message.error))
      default:
        return message satisfies never
    }
  }

  #acceptCopied(worker: PooledWorker, message: MessageFromWorker & { type: 'copied' }): void {
    for (const file of message.files) this.#listener.onFile(file)
    for (const pathname of message.vanished) this.#listener.onVanished(pathname)
    worker.batches.shift()
    this.#outstanding--
    this.#feed(worker)
    this.#feed(worker)
    if (this.#outstanding === 0) this.#onCopied?.()
  }

  /** The system's word for it, where a thread has not got what it needs to start. */
  #explain(error: unknown): unknown {
    // Node names the error of the system in the text only.
    if (!(error instanceof Error && /\bE[MN]FILE\b/.test(error.message))) return error
    return new PbManifestError(
      'IO',
      `could not start worker thread ${this.#workers.length}: Too many open files`,
      {
        cause: error,
        hint: 'Ask for fewer workers with --jobs, or raise the limit of open files (ulimit -n).',
      },
    )
  }

  #feed(worker: PooledWorker): void {
    const batch = this.#batches?.[this.#next]
    if (batch === undefined || !mayHave(worker.batches, batch)) return
    this.#next++
    worker.batches.push(batch)
    send(worker, { type: 'copy', files: batch })
  }
}

/** Something that happens once. */
class Mark {
  readonly promise: Promise<void>
  readonly set: () => void

  constructor() {
    let settle: (() => void) | undefined
    this.promise = new Promise((resolve) => {
      settle = resolve
    })
    this.set = () => settle?.()
  }
}

function mayHave([current, ...ahead]: readonly Batch[], next: Batch): boolean {
  if (current === undefined) return true
  return ahead.length === 0 && bytesOf(current) <= AHEAD_BYTES && bytesOf(next) <= AHEAD_BYTES
}

function bytesOf(batch: Batch): number {
  return batch.reduce((sum, { size }) => sum + size, 0)
}

function send({ thread }: PooledWorker, message: MessageToWorker): void {
  thread.post(message)
}
