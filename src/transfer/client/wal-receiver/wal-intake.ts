import type { ReplicationClient } from '../../connection/gate/connect-replication.js'
import type { WalSegmentWriter } from './wal-segment-writer.js'
import { WalStream, type WalStreamEnd, type WalStreamOptions } from './wal-stream.js'
import { formatStatusUpdate, type WalStreamMessage } from './wal-stream-messages.js'

export interface WalIntakeOptions {
  /** Milliseconds between two status updates; 0: none but those that the server asks for. */
  readonly statusInterval: number
  /** Whether a slot waits for us: only then is a flushed position told. */
  readonly hasSlot: boolean
}

/** How much WAL may wait in memory for a slow disk before the server has to wait, too. */
const MAX_PENDING_BYTES = 8 * 1024 * 1024

/**
 * Takes WAL from streams to the writer, and tells the server how far it got.
 *
 * Writing is asynchronous, so that a slow fsync holds up neither replies to the server nor anything else on this thread.
 */
export class WalIntake {
  readonly #writer: WalSegmentWriter
  readonly #options: WalIntakeOptions
  #stream: WalStream | undefined
  #writing: Promise<void> = Promise.resolve()
  #pendingBytes = 0
  #endLsn: bigint | undefined
  #isComplete = false

  constructor(writer: WalSegmentWriter, options: WalIntakeOptions) {
    this.#writer = writer
    this.#options = options
  }

  /** Whether all WAL up to the end that was asked for is in its files. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  /** Ends the stream as soon as all WAL up to this LSN was written; at once, when it is. */
  stopAt(endLsn: bigint): void {
    this.#endLsn = endLsn
    this.#stopIfComplete()
  }

  /** Takes one stream to its end, and what came of it to its files. */
  async takeStream(
    client: ReplicationClient,
    options: Omit<WalStreamOptions, 'onMessage'>,
  ): Promise<WalStreamEnd> {
    const stream = new WalStream(client, { ...options, onMessage: (message) => this.#accept(message) })
    this.#stream = stream
    // Where silence is limited, the server is asked to break it: it has nothing to say while nothing is written there.
    const { longestSilence = Number.POSITIVE_INFINITY } = stream
    const wantsReply = Number.isFinite(longestSilence)
    const interval = Math.min(this.#options.statusInterval || Number.POSITIVE_INFINITY, longestSilence / 2)
    const isTimed = Number.isFinite(interval)
    const timer = isTimed ? setInterval(() => this.#report(wantsReply), interval) : undefined
    try {
      const end = await stream.ended
      await this.#writing
      return end
    } catch (error) {
      // The connection may be needed for something else.
      stream.stop()
      throw error
    } finally {
      clearInterval(timer)
      this.#stream = undefined
      // Whoever closes the file, or removes it, comes after the last write.
      await this.#writing.catch(() => {})
    }
  }

  #accept(message: WalStreamMessage): void {
    switch (message.type) {
      case 'keepalive':
        if (message.isReplyRequested) this.#reply()
        return
      case 'wal':
        this.#enqueue(message.startLsn, Buffer.from(message.bytes))
        return
      default:
        message satisfies never
    }
  }

  /** At once; and again when what was received is flushed: a server that shuts down waits until it was. */
  #reply(): void {
    this.#report()
    if (!this.#options.hasSlot || this.#writer.flushedLsn === this.#writer.writtenLsn) return
    this.#chain(async () => {
      await this.#writer.flush()
      this.#report()
    })
  }

  #chain(step: () => Promise<void>): void {
    this.#writing = this.#writing.then(step)
    this.#writing.catch((error: unknown) => this.#stream?.fail(error))
  }

  #enqueue(startLsn: bigint, bytes: Buffer): void {
    this.#pendingBytes += bytes.length
    if (this.#pendingBytes > MAX_PENDING_BYTES) this.#stream?.pause()
    this.#chain(() => this.#write(startLsn, bytes))
  }

  async #write(startLsn: bigint, bytes: Buffer): Promise<void> {
    const flushedBefore = this.#writer.flushedLsn
    await this.#writer.write(startLsn, bytes)
    this.#pendingBytes -= bytes.length
    if (this.#pendingBytes <= MAX_PENDING_BYTES / 2) this.#stream?.resume()
    // A finished segment moves the slot on: pg_basebackup tells it at once, too.
    if (this.#writer.flushedLsn !== flushedBefore) this.#report()
    this.#stopIfComplete()
  }

  #stopIfComplete(): void {
    if (this.#isComplete || this.#endLsn === undefined || this.#writer.writtenLsn < this.#endLsn) return
    this.#isComplete = true
    this.#report()
    this.#stream?.stop()
  }

  #report(wantsReply = false): void {
    const { writtenLsn, flushedLsn } = this.#writer
    const status = { writtenLsn, flushedLsn: this.#options.hasSlot ? flushedLsn : 0n, wantsReply }
    this.#stream?.send(formatStatusUpdate(status, Date.now()))
  }
}
