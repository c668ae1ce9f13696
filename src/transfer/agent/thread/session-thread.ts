import type { PbManifestError } from '../../../errors.js'
import { WakeUp } from '../../../threads/wake-up.js'
import { ThreadError, toWireErrorData, type WireErrorData } from '../wire-error-data.js'
import type { BackupHandle } from '../../session/backup.js'
import type { SessionNotice } from '../../session/backup-session.js'
import type { MessageFromSession, MessageToSession, SessionAnswer, SessionEnd } from './session-messages.js'
import { endSessionThread, type SpareThreads, type StartedThread } from './spare-threads.js'

/** For so long, in milliseconds, a session may take to end; longer than it waits for the database server itself. */
const GRACE_MS = 15_000

/** What a session tells, beside the answers to its commands. */
export interface SessionListener {
  /** It leads a backup now. */
  readonly onStarted: (backup: BackupHandle) => void
  /** The backup that it leads is lost; or the whole thread, and nothing can be run in it any more. */
  readonly onLost: (error: WireErrorData) => void
  readonly onNotice: (notice: SessionNotice) => void
}

/** An answer as it comes out of the thread, the last one left out. */
export type StreamedAnswer = Exclude<SessionAnswer, { type: 'pull' | 'done' | 'failed' }>

/** Where threads come from, and go to. */
export type ThreadSource = Pick<SpareThreads, 'take' | 'giveBack'>

/** The thread in which the session of one connection runs, seen from the thread that has the connection. */
export class SessionThread {
  readonly #threads: ThreadSource
  readonly #thread: StartedThread
  readonly #listener: SessionListener
  /** The memory that `stream` answers are about. */
  readonly pieces: readonly Buffer[]
  readonly #answers: SessionAnswer[] = []
  readonly #wakeUp = new WakeUp()
  #isRunning = false
  #ended: SessionEnd | undefined
  /** Why the thread is gone, when it is though nobody said so. */
  #death: WireErrorData | undefined
  /** Resolves when the session is over, and its thread without work or gone. */
  readonly #over: Promise<void>
  #endWaiting: () => void = () => {}

  /** @throws {@link PbManifestError} `IO` when the system grants no more threads */
  constructor(threads: ThreadSource, listener: SessionListener) {
    this.#threads = threads
    this.#thread = threads.take()
    this.pieces = this.#thread.pieces
    this.#listener = listener
    this.#over = new Promise((resolve) => {
      this.#endWaiting = resolve
    })
    const { worker } = this.#thread
    worker.watch({ onMessage: this.#accept, onFailure: this.#die })
    void worker.exit.then(this.#endWaiting)
  }

  /**
   * Runs one command; its answer comes piece by piece. Whoever takes them no longer, or whose signal fires, cancels the
   * command, and gets away when it has come to its end.
   *
   * @param input - what the client sends with the command, if the command asks for it
   * @throws {@link ThreadError}
   */
  async *run(
    command: Omit<Extract<MessageToSession, { type: 'run' }>, 'type'>,
    signal: AbortSignal,
    input?: AsyncIterator<Buffer, unknown>,
  ): AsyncGenerator<StreamedAnswer, void, undefined> {
    const cancel = (): void => this.#post({ type: 'cancel' })
    signal.addEventListener('abort', cancel, { once: true })
    let isOver = false
    try {
      this.#isRunning = true
      this.#post({ type: 'run', ...command })
      if (signal.aborted) cancel()
      for (;;) {
        const answer = await this.#nextAnswer()
        isOver = answer.type === 'done' || answer.type === 'failed'
        if (answer.type === 'done') return
        if (answer.type === 'failed') throw new ThreadError(answer.error)
        if (answer.type === 'pull') {
          this.#post(await pull(input))
          continue
        }
        try {
          yield answer
        } finally {
          if (answer.type === 'stream') this.#post({ type: 'taken', piece: answer.piece })
        }
      }
    } finally {
      signal.removeEventListener('abort', cancel)
      if (!isOver) await this.#drain()
      this.#isRunning = false
    }
  }

  /**
   * Ends the session. What it leads, is aborted, unless it is complete. Its thread is given back only when there can be
   * nothing left of it there. Never throws.
   *
   * @returns what kept it from ending in good order
   */
  async end(how: 'finish' | 'abort'): Promise<WireErrorData | undefined> {
    const { worker } = this.#thread
    const isIdle = !this.#isRunning
    this.#post({ type: 'end', how })
    await worker.waitFor(this.#over, GRACE_MS)
    const ended = this.#ended
    if (ended === undefined) return this.#death
    const isClean = isIdle && how === 'finish' && ended.error === undefined
    if (isClean) await this.#threads.giveBack(this.#thread, ended.heapBytes)
    else await endSessionThread(this.#thread)
    return ended.error
  }

  readonly #accept = (message: MessageFromSession): void => {
    switch (message.type) {
      case 'started':
        return this.#listener.onStarted(message.backup)
      case 'lost':
        return this.#listener.onLost(message.error)
      case 'notice':
        return this.#listener.onNotice(message.notice)
      case 'ended':
        this.#ended = message
        return this.#endWaiting()
      default:
        this.#answers.push(message)
        this.#wakeUp.wake()
    }
  }

  readonly #die = (error: PbManifestError): void => {
    if (this.#ended !== undefined) return
    this.#death = toWireErrorData(error)
    this.#wakeUp.wake()
    this.#listener.onLost(this.#death)
  }

  async #nextAnswer(): Promise<SessionAnswer> {
    for (;;) {
      const answer = this.#answers.shift()
      if (answer !== undefined) return answer
      if (this.#death !== undefined) return { type: 'failed', error: this.#death }
      await this.#wakeUp.wait()
    }
  }

  async #drain(): Promise<void> {
    this.#post({ type: 'cancel' })
    for (;;) {
      const answer = await this.#nextAnswer()
      if (answer.type === 'done' || answer.type === 'failed') return
      if (answer.type === 'stream') this.#post({ type: 'taken', piece: answer.piece })
      if (answer.type === 'pull') this.#post({ type: 'input', bytes: undefined, error: undefined })
    }
  }

  #post(message: MessageToSession): void {
    this.#thread.worker.post(message)
  }
}

async function pull(input: AsyncIterator<Buffer, unknown> | undefined): Promise<MessageToSession> {
  try {
    const next = await input?.next()
    const bytes = next === undefined || next.done === true ? undefined : next.value
    return { type: 'input', bytes, error: undefined }
  } catch (error) {
    return { type: 'input', bytes: undefined, error: toWireErrorData(error) }
  }
}
