import type { StartSession, MessageFromSession, MessageToSession } from './session-messages.js'
import { SupervisedThread } from '../../../threads/supervised-thread.js'
import { allocatePieces, piecesOf } from './stream-sender.js'

/** For a leader and two workers. More start while these are at work; each takes 15 MB before its first session. */
const SPARES = 3

/** A thread whose heap has grown beyond this, with the list of a million files say, is not kept. */
const MOST_HEAP_BYTES = 64 * 1024 * 1024

/** For so long, in milliseconds, a thread without a session may take to end. */
const GRACE_MS = 5000

/**
 * Threads that wait for sessions. They have loaded all they need before somebody connects, and one that had a session has
 * compiled its code as well: on a machine with few processors each of the two takes as long as sending half a gigabyte.
 */
export class SpareThreads {
  readonly #start: Omit<StartSession, 'pieces' | 'isSpare'>
  readonly #spares: StartedThread[] = []
  #closed: Promise<void> | undefined

  constructor(start: Omit<StartSession, 'pieces' | 'isSpare'>) {
    this.#start = start
    this.refill()
  }

  /**
   * The spare thread that was given back last, or a new one when there is none: the leader of a backup leaves it last, and
   * the leader of the next one comes first. Whoever takes it gives it back, or ends it.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more threads
   */
  take(): StartedThread {
    return this.#spares.pop() ?? startSessionThread({ ...this.#start, isSpare: false })
  }

  /** Keeps a thread whose session has ended in good order for another one, if it is worth that. */
  async giveBack(thread: StartedThread, heapBytes: number): Promise<void> {
    if (this.#closed !== undefined || this.#spares.length >= SPARES || heapBytes > MOST_HEAP_BYTES) {
      await endSessionThread(thread)
    } else {
      this.#keep(thread)
    }
  }

  /** Starts threads in place of those that did not come back; to be called when there is nothing else to do. */
  refill(): void {
    while (this.#closed === undefined && this.#spares.length < SPARES) {
      try {
        this.#keep(startSessionThread({ ...this.#start, isSpare: true }))
      } catch {
        // The system does not grant it. Whoever needs one will be told.
        return
      }
    }
  }

  /** Ends those that nobody took, and waits for it; from now on there are no others. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await Promise.all(this.#spares.splice(0).map(endSessionThread))
  }

  #keep(thread: StartedThread): void {
    this.#spares.push(thread)
    const forget = (): void => {
      const place = this.#spares.indexOf(thread)
      if (place !== -1) this.#spares.splice(place, 1)
    }
    thread.worker.watch({ onMessage: () => {}, onFailure: forget })
  }
}

/** Ends a thread that has no session, and waits for it. */
export async function endSessionThread({ worker }: StartedThread): Promise<void> {
  worker.watch(undefined)
  worker.post({ type: 'exit' })
  // Something of its last session may still hold it.
  await worker.waitFor(worker.exit, GRACE_MS)
}

const workerFile = new URL('session-worker.js', import.meta.url)

/** A thread for a session, which waits for its commands. */
export interface StartedThread {
  readonly worker: SupervisedThread<MessageToSession, MessageFromSession>
  /** The memory that it sends streams in. */
  readonly pieces: readonly Buffer[]
}

/** @throws {@link PbManifestError} `IO` when the system grants no more threads */
export function startSessionThread(start: Omit<StartSession, 'pieces'>): StartedThread {
  const pieces = allocatePieces()
  const workerData: StartSession = { ...start, pieces }
  const worker = new SupervisedThread<MessageToSession, MessageFromSession>(workerFile, {
    workerData,
    name: 'the thread of the session',
  })
  return { worker, pieces: piecesOf(pieces) }
}
