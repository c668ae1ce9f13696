import { type LeaveMessage, SupervisedThread } from './supervised-thread.js'

/**
 * A thread that loads its program while it is still being found out what it is to do: so this thread's own loading, which
 * takes as long, is done beside it.
 */
export class PrestartedThread<Sent, Received> {
  #thread: SupervisedThread<Sent | LeaveMessage, Received> | undefined

  /** @param workerData - what it is to know before it is taken */
  constructor(file: URL, workerData?: unknown) {
    try {
      this.#thread = new SupervisedThread(file, { workerData })
    } catch {
      // Whoever starts the next one learns why. The same when it fails before it is taken.
      return
    }
    this.#thread.watch({
      onMessage: () => {},
      onFailure: () => {
        this.#thread = undefined
      },
    })
  }

  /** Hands the thread out, once; `undefined` when there is none. Whoever takes it sends the first message, and waits for its end. */
  take(): SupervisedThread<Sent | LeaveMessage, Received> | undefined {
    const thread = this.#thread
    this.#thread = undefined
    return thread
  }

  /** Ends it, if nobody took it. */
  async close(): Promise<void> {
    const thread = this.take()
    if (thread === undefined) return
    thread.markDone()
    thread.post({ type: 'leave' })
    await thread.exit
  }
}
