import type { Worker } from 'node:worker_threads'
import { PbManifestError } from '../../../errors.js'
import { ThreadError, toWireErrorData, type WireErrorData } from '../wire-error-data.js'
import type { BackupHandle } from '../../session/backup-handle.js'
import type { SessionNotice } from '../../session/backup-session.js'
import type { MessageFromSession, MessageToSession, SessionAnswer } from './session-messages.js'
import type { StartedThread } from './start-session-thread.js'

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
export type StreamedAnswer = Exclude<SessionAnswer, { type: 'done' | 'failed' }>

/** The thread in which the session of one connection runs, seen from the thread that has the connection. */
export class SessionThread {
  readonly #worker: Worker
  readonly #listener: SessionListener
  /** The memory that `stream` answers are about. */
  readonly pieces: readonly Buffer[]
  readonly #answers: SessionAnswer[] = []
  #wake: (() => void) | undefined
  #ended: Extract<MessageFromSession, { type: 'ended' }> | undefined
  /** Why the thread is gone, when it is though nobody said so. */
  #death: WireErrorData | undefined
  readonly #exit: Promise<void>

  constructor({ worker, pieces }: StartedThread, listener: SessionListener) {
    this.pieces = pieces
    this.#listener = listener
    this.#worker = worker
    this.#worker.on('message', (message: MessageFromSession) => this.#accept(message))
    this.#worker.on('error', (cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause)
      this.#die(new PbManifestError('IO', `the thread of the session failed: ${reason}`, { cause }))
    })
    this.#exit = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#die(new PbManifestError('IO', 'the thread of the session ended unexpectedly'))
        resolve()
      })
    })
  }

  /**
   * Runs one command; its answer comes piece by piece. Whoever takes them no longer, or whose signal fires, cancels the
   * command, and gets away when it has come to its end.
   *
   * @throws {@link ThreadError}
   */
  async *run(
    command: Omit<Extract<MessageToSession, { type: 'run' }>, 'type'>,
    signal: AbortSignal,
  ): AsyncGenerator<StreamedAnswer, void, undefined> {
    const cancel = (): void => this.#post({ type: 'cancel' })
    signal.addEventListener('abort', cancel, { once: true })
    let isOver = false
    try {
      this.#post({ type: 'run', ...command })
      if (signal.aborted) cancel()
      for (;;) {
        const answer = await this.#nextAnswer()
        isOver = answer.type === 'done' || answer.type === 'failed'
        if (answer.type === 'done') return
        if (answer.type === 'failed') throw new ThreadError(answer.error)
        try {
          yield answer
        } finally {
          if (answer.type === 'stream') this.#post({ type: 'taken', piece: answer.piece })
        }
      }
    } finally {
      signal.removeEventListener('abort', cancel)
      if (!isOver) await this.#drain()
    }
  }

  /**
   * Ends the session and the thread. What the session leads, is aborted, unless it is complete. Never throws.
   *
   * @returns what kept it from ending in good order
   */
  async end(how: 'finish' | 'abort'): Promise<WireErrorData | undefined> {
    this.#post({ type: 'end', how })
    const timer = setTimeout(() => void this.#worker.terminate(), GRACE_MS)
    await this.#exit
    clearTimeout(timer)
    return this.#ended === undefined ? this.#death : this.#ended.error
  }

  #accept(message: MessageFromSession): void {
    switch (message.type) {
      case 'started':
        return this.#listener.onStarted(message.backup)
      case 'lost':
        return this.#listener.onLost(message.error)
      case 'notice':
        return this.#listener.onNotice(message.notice)
      case 'ended':
        this.#ended = message
        return
      default:
        this.#answers.push(message)
        this.#wake?.()
    }
  }

  #die(error: PbManifestError): void {
    if (this.#ended !== undefined || this.#death !== undefined) return
    this.#death = toWireErrorData(error)
    this.#wake?.()
    this.#listener.onLost(this.#death)
  }

  async #nextAnswer(): Promise<SessionAnswer> {
    for (;;) {
      const answer = this.#answers.shift()
      if (answer !== undefined) return answer
      if (this.#death !== undefined) return { type: 'failed', error: this.#death }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
  }

  async #drain(): Promise<void> {
    this.#post({ type: 'cancel' })
    for (;;) {
      const answer = await this.#nextAnswer()
      if (answer.type === 'done' || answer.type === 'failed') return
      if (answer.type === 'stream') this.#post({ type: 'taken', piece: answer.piece })
    }
  }

  #post(message: MessageToSession): void {
    this.#worker.postMessage(message)
  }
}
