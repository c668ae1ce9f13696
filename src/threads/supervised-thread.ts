import { parentPort, SHARE_ENV, type TransferListItem, Worker } from 'node:worker_threads'
import { once } from 'node:events'
import { PbManifestError } from '../errors.js'

/** For so long, in milliseconds, a thread may go on with what it is doing when it is no longer wanted. */
const GRACE_MS = 10_000

/** Who is told of a thread. */
interface ThreadListener<Received> {
  readonly onMessage: (message: Received) => void
  /** Is told once, with the cause, when the thread ends or fails although it was not done. */
  readonly onFailure: (error: PbManifestError) => void
}

/** What a thread is started with. */
interface ThreadOptions {
  /** What it is to know before its first message. */
  readonly workerData?: unknown
  /** What it is called in messages. */
  readonly name?: string
}

/**
 * A thread, seen from the one that started it.
 *
 * It is not terminated: Node would do that in the middle of whatever it is at, and aws-crt ends the whole process when that
 * is its own loading. It is asked to end, and ends in place. Only a thread that hangs, in a call of the system for example,
 * is terminated.
 */
export class SupervisedThread<Sent, Received> {
  readonly #worker: Worker
  readonly #name: string
  #listener: ThreadListener<Received> | undefined
  #isDone = false
  /** Resolves when the thread has ended, for whatever reason. */
  readonly exit: Promise<void>

  /** @throws {@link PbManifestError} `IO` when the system does not grant it */
  constructor(file: URL, { workerData, name = 'a worker thread' }: ThreadOptions = {}) {
    this.#name = name
    this.#worker = start(file, workerData, name)
    this.exit = new Promise((resolve) => {
      this.#worker.once('exit', () => resolve())
    })
    this.#worker.on('message', (message: Received) => this.#listener?.onMessage(message))
    this.#worker.on('error', (cause: unknown) => this.#fail(`failed: ${reasonOf(cause)}`, cause))
    this.#worker.on('exit', (status) => this.#fail(`ended unexpectedly with status ${status}`))
  }

  /** From now on this one is told of the thread, and nobody else; to be called before there can be anything to tell. */
  watch(listener: ThreadListener<Received> | undefined): void {
    this.#listener = listener
  }

  post(message: Sent, transferList: readonly TransferListItem[] = []): void {
    this.#worker.postMessage(message, transferList)
  }

  /** The thread has said that it is done: that it ends is no failure any more. */
  markDone(): void {
    this.#isDone = true
  }

  /**
   * Waits for something that the thread was asked for; terminates the thread when that takes too long.
   *
   * @param graceMs - how long that is, in milliseconds
   */
  async waitFor(due: Promise<unknown>, graceMs: number = GRACE_MS): Promise<void> {
    const timer = setTimeout(() => void this.#worker.terminate(), graceMs)
    try {
      await due
    } finally {
      clearTimeout(timer)
    }
  }

  #fail(what: string, cause?: unknown): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#listener?.onFailure(new PbManifestError('IO', `${this.#name} ${what}`, { cause }))
  }
}

function start(file: URL, workerData: unknown, name: string): Worker {
  try {
    return new Worker(file, {
      workerData,
      env: SHARE_ENV,
      // The options of the process are for its own program: `--input-type` would keep a thread from starting.
      execArgv: [],
    })
  } catch (cause) {
    throw new PbManifestError('IO', `could not start ${name}: ${reasonOf(cause)}`, { cause })
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

/** The first message that a thread is sent. */
export type StartMessage<Start> = { readonly type: 'start'; readonly start: Start } | LeaveMessage

/** There is nothing to do after all. */
export interface LeaveMessage {
  readonly type: 'leave'
}

/** Waits for what this thread is to do; `undefined` when that is nothing. */
export async function receiveStart(): Promise<unknown> {
  if (parentPort === null) return undefined
  const [message] = (await once(parentPort, 'message')) as [StartMessage<unknown>]
  return message.type === 'start' ? message.start : undefined
}

/** Sends a message to the thread that started this one. */
export function postToParent(message: unknown, transferList?: readonly TransferListItem[]): void {
  parentPort?.postMessage(message, transferList)
}
