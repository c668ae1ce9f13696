import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { startThread } from './start-thread.js'
import type { StartMessage } from './thread-start.js'

/**
 * A thread that loads its program while it is still being found out what it is to do: so this thread's own loading, which
 * takes as long, is done beside it.
 */
export class ThreadAhead {
  #worker: Worker | undefined
  readonly #exit: Promise<unknown>

  /** @param workerData - what it is to know before it is taken */
  constructor(file: URL, workerData?: unknown) {
    const worker = startIfGranted(file, workerData)
    this.#worker = worker
    // One that fails before it is taken is not taken: whoever starts the next one learns why.
    worker?.once('error', this.#forget)
    worker?.once('exit', this.#forget)
    this.#exit = worker === undefined ? Promise.resolve() : once(worker, 'exit').catch(() => {})
  }

  /** Hands the thread out, once; `undefined` when there is none. Whoever takes it sends the first message, and waits for its end. */
  take(): Worker | undefined {
    const worker = this.#worker
    worker?.off('error', this.#forget).off('exit', this.#forget)
    this.#worker = undefined
    return worker
  }

  /** Ends it, if nobody took it. */
  async close(): Promise<void> {
    if (this.#worker === undefined) return
    this.#worker.postMessage({ type: 'leave' } satisfies StartMessage<never>)
    await this.#exit
  }

  readonly #forget = (): void => {
    this.#worker = undefined
  }
}

function startIfGranted(file: URL, workerData: unknown): Worker | undefined {
  try {
    return startThread(file, workerData)
  } catch {
    return undefined
  }
}
