import type { Duplex } from 'node:stream'
import { WakeUp } from '../../../threads/wake-up.js'
import type { FrontendMessage } from '../protocol/frontend-messages.js'
import type { StartupMessage } from '../protocol/startup-packet.js'
import { backendMessages } from '../protocol/backend-messages.js'
import { FrontendParser } from '../protocol/frontend-messages.js'
import type { WireError } from '../wire-error.js'
import { connectionLost, stalledClient, tooFarAhead } from './connection-errors.js'

/** How much a client may send ahead of what we ask for; beyond that we stop reading. */
const MAX_AHEAD_BYTES = 65_536
/** For so long, in milliseconds, a client may take to read our last words and to hang up. */
const LINGER_MS = 2000

/**
 * The bytes of one client: messages in, bytes out. It goes on reading while nobody asks for messages, because that is
 * how one learns that the client is gone.
 */
export class WireChannel {
  #stream: Duplex
  readonly #parser = new FrontendParser()
  readonly #over = new AbortController()
  readonly #stallTimeoutMs: number
  /** Why it is over: lost, or interrupted by us. */
  #end: { readonly how: 'lost' | 'interrupted'; readonly error: WireError } | undefined
  readonly #reader = new WakeUp()
  readonly #pendingWrites = new Set<(error: WireError) => void>()
  #isDiscarding = false
  /** While a query runs: how much the client may send ahead of its end. */
  #listenBytes: number | undefined

  /** @param stallTimeoutMs - how long a write may wait for the client; 0: forever */
  constructor(stream: Duplex, stallTimeoutMs = 0) {
    this.#stream = stream
    this.#stallTimeoutMs = stallTimeoutMs
    this.#attach()
  }

  /** Fires when the client is gone, and when {@link interrupt} ends the connection. */
  get over(): AbortSignal {
    return this.#over.signal
  }

  /** Whether nothing can be said to the client any more. */
  get isLost(): boolean {
    return this.#end?.how === 'lost'
  }

  /** Why it is over, if it is. */
  get reason(): WireError | undefined {
    return this.#end?.error
  }

  /** @throws {@link WireError} `FATAL`, also when the connection is over */
  async readStartup(): Promise<StartupMessage> {
    return await this.#read(() => this.#parser.takeStartup())
  }

  /** @throws {@link WireError} as `FrontendParser.takeMessage`, and `FATAL` when the connection is over */
  async readMessage(maxBytes: number): Promise<FrontendMessage> {
    return await this.#read(() => this.#parser.takeMessage(maxBytes))
  }

  /**
   * The same for one who waits only until a signal fires.
   *
   * @returns `undefined` when it has
   */
  async readMessageUntil(maxBytes: number, signal: AbortSignal): Promise<FrontendMessage | undefined> {
    const wake = (): void => this.#reader.wake()
    signal.addEventListener('abort', wake, { once: true })
    try {
      return await this.#read(() => this.#parser.takeMessage(maxBytes), signal)
    } finally {
      signal.removeEventListener('abort', wake)
    }
  }

  /**
   * Goes on reading while something is done for the client, which may take long: only who reads learns that the client is
   * gone. One that sends too much meanwhile, and could hide its end behind it, is interrupted.
   *
   * @param maxBytes - how much it may send
   * @returns what ends this
   */
  listen(maxBytes: number): () => void {
    this.#listenBytes = maxBytes + MAX_AHEAD_BYTES
    this.#stream.resume()
    return () => {
      this.#listenBytes = undefined
    }
  }

  /**
   * Stops what {@link listen} began, because the client is asked for something now: of that it may send as much as it has, and
   * waits while it is not read.
   *
   * @returns what goes on listening
   */
  expect(): () => void {
    const listenBytes = this.#listenBytes
    this.#listenBytes = undefined
    return () => {
      this.#listenBytes = listenBytes
      this.#stream.resume()
    }
  }

  /** Sends without waiting: for what is short. */
  send(...parts: readonly Uint8Array[]): void {
    if (!this.isLost && !this.#stream.destroyed) this.#put(parts)
  }

  /**
   * Sends, and resolves when the system has taken all of it, so that the memory may be used again.
   *
   * @throws {@link WireError} when the connection is over, at once
   */
  async write(...parts: readonly Uint8Array[]): Promise<void> {
    if (this.#end !== undefined) throw this.#end.error
    const stall = this.#watchForStall()
    await new Promise<void>((resolve, reject) => {
      this.#pendingWrites.add(reject)
      this.#put(parts, (error) => {
        clearTimeout(stall)
        this.#pendingWrites.delete(reject)
        if (error) reject(connectionLost(error))
        else resolve()
      })
    })
  }

  /**
   * Puts another stream in the place of this one, between two messages.
   *
   * @param wrap - may say something on the old stream first; what is read from the new one before the promise resolves
   *   waits there
   */
  async replaceStream<Wrapped extends Duplex>(wrap: (stream: Duplex) => Promise<Wrapped>): Promise<Wrapped> {
    this.#detach()
    const wrapped = await wrap(this.#stream)
    this.#stream = wrapped
    this.#attach()
    // What ended in between was heard by nobody.
    if (wrapped.destroyed) this.#lose()
    return wrapped
  }

  /** Whether bytes came that belong to no message that was read. */
  get hasPendingBytes(): boolean {
    return this.#parser.pendingBytes > 0 || this.#stream.readableLength > 0
  }

  /** Whoever reads or writes gets this error, the first one only. Only {@link send} still works. */
  interrupt(error: WireError): void {
    this.#finish({ how: 'interrupted', error })
  }

  /** Says a last word to the client, and lets go of it at once, whether it reads that or not. */
  drop(error: WireError): void {
    this.interrupt(error)
    this.send(backendMessages.errorResponse(error))
    this.#stream.end(() => this.#stream.destroy())
  }

  /** Lets go of the client, when it has read what was sent, or soon in any case. */
  async close(): Promise<void> {
    const stream = this.#stream
    if (this.isLost) stream.destroy()
    if (stream.closed) return
    const linger = setTimeout(() => stream.destroy(), LINGER_MS)
    await new Promise<void>((resolve) => {
      stream.once('close', resolve)
      // Unread bytes would make the system throw away what we said last, so they are read to the end.
      this.#isDiscarding = true
      stream.end()
      stream.resume()
    })
    clearTimeout(linger)
  }

  async #read<Message>(take: () => Message | undefined): Promise<Message>
  async #read<Message>(take: () => Message | undefined, signal: AbortSignal): Promise<Message | undefined>
  async #read<Message>(take: () => Message | undefined, signal?: AbortSignal): Promise<Message | undefined> {
    for (;;) {
      if (signal?.aborted === true) return undefined
      if (this.#end?.how === 'interrupted') throw this.#end.error
      // What came before the end counts: a client may say Terminate and be gone.
      const message = take()
      if (message !== undefined) return message
      if (this.#end !== undefined) throw this.#end.error
      this.#stream.resume()
      await this.#reader.wait()
    }
  }

  #put(parts: readonly Uint8Array[], done?: (error?: Error | null) => void): void {
    const last = parts.length - 1
    this.#stream.cork()
    for (const [index, part] of parts.entries()) {
      if (index === last && done !== undefined) this.#stream.write(part, done)
      else this.#stream.write(part)
    }
    this.#stream.uncork()
  }

  #watchForStall(): NodeJS.Timeout | undefined {
    if (this.#stallTimeoutMs === 0) return undefined
    return setTimeout(() => {
      this.interrupt(stalledClient())
      // What does not read will not read our last words either.
      this.#stream.destroy()
    }, this.#stallTimeoutMs)
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#isDiscarding) return
    this.#parser.push(chunk)
    const { pendingBytes } = this.#parser
    if (pendingBytes > (this.#listenBytes ?? MAX_AHEAD_BYTES)) {
      this.#stream.pause()
      if (this.#listenBytes !== undefined) this.interrupt(tooFarAhead())
    }
    this.#reader.wake()
  }

  readonly #onEnd = (): void => this.#lose()
  readonly #onError = (error: Error): void => this.#lose(error)

  #attach(): void {
    this.#stream.on('data', this.#onData)
    for (const event of ['end', 'close'] as const) this.#stream.on(event, this.#onEnd)
    this.#stream.on('error', this.#onError)
  }

  #detach(): void {
    this.#stream.off('data', this.#onData)
    for (const event of ['end', 'close'] as const) this.#stream.off(event, this.#onEnd)
    // Errors of the stream below are heard above, and an error that nobody hears ends the process.
  }

  #lose(cause?: Error): void {
    this.#finish({ how: 'lost', error: connectionLost(cause) })
  }

  /** The first reason is the one that is told, but lost is lost. */
  #finish(end: { readonly how: 'lost' | 'interrupted'; readonly error: WireError }): void {
    const error = this.#end?.error ?? end.error
    const how = this.isLost ? 'lost' : end.how
    this.#end = { how, error }
    for (const reject of this.#pendingWrites) reject(error)
    this.#over.abort(error)
    this.#reader.wake()
  }
}
