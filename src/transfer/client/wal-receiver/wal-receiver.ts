import { throwIfAborted } from '../../../files/yielder.js'
import { destroyConnection, endConnection } from '../../connection/pg-connection.js'
import type { ConnectionOptions } from '../../connection/settings/connection-options.js'
import {
  connectReplication,
  type ReplicationClient,
  type ReplicationProof,
} from '../../connection/gate/connect-replication.js'
import { dropSlot, fetchTimelineHistory, prepareSlot, type WalSlot } from './wal-sender-commands.js'
import { WalIntake } from './wal-intake.js'
import { type WalFileOptions, WalSegmentWriter } from './wal-segment-writer.js'

export interface WalReceiverOptions extends WalFileOptions {
  readonly connection: ConnectionOptions
  readonly proof: ReplicationProof
  readonly slot: WalSlot
  /** Milliseconds between two status updates, beside those that the server asks for; 0: no others. Default 10000. */
  readonly statusInterval?: number
  readonly signal?: AbortSignal | undefined
}

/** As pg_basebackup's `-s`. */
const STATUS_INTERVAL_MS = 10_000

/**
 * Receives WAL while a backup runs, over a connection of its own, and writes it where the backup has its WAL.
 *
 * It runs on the thread of its caller: it only copies bytes between a socket and files, and no call of it blocks.
 *
 * Order of calls: `open` before backup mode begins, so that the slot keeps all WAL from there; `start` with the LSN at
 * which the backup starts; `stop` with that at which it ends, or `close`.
 */
export class WalReceiver {
  readonly #options: WalReceiverOptions
  readonly #client: ReplicationClient
  #writer: WalSegmentWriter | undefined
  #intake: WalIntake | undefined
  #endLsn: bigint | undefined
  #received: Promise<void> = Promise.resolve()

  private constructor(options: WalReceiverOptions, client: ReplicationClient) {
    this.#options = options
    this.#client = client
  }

  /**
   * Connects to the server that is backed up, and makes the temporary slot.
   *
   * @throws {@link PbManifestError} `SERVER`, `ABORTED`
   */
  static async open(options: WalReceiverOptions): Promise<WalReceiver> {
    const { connection, proof, slot, signal } = options
    const client = await connectReplication(connection, proof, signal)
    try {
      await prepareSlot(client, slot)
      return new WalReceiver(options, client)
    } catch (error) {
      await endConnection(client)
      throw error
    }
  }

  /** Up to here, exclusive, WAL is in its file. 0 before the start. */
  get writtenLsn(): bigint {
    return this.#writer?.writtenLsn ?? 0n
  }

  /**
   * Begins to receive, from the beginning of the segment that holds this LSN.
   *
   * @returns a promise that rejects as soon as receiving fails, and resolves when it was stopped
   */
  start(startLsn: bigint, timeline: number): Promise<void> {
    this.#received = this.#receive(startLsn, timeline)
    // Who calls `start` may look at it only later.
    this.#received.catch(ignore)
    return this.#received
  }

  /** Resolves when all WAL up to this LSN is on disk; ends the connection, and with it the temporary slot. */
  async stop(endLsn: bigint): Promise<void> {
    try {
      this.#endLsn = endLsn
      this.#intake?.stopAt(endLsn)
      await this.#received
    } finally {
      await this.close()
    }
  }

  /**
   * After a failure, while {@link close} is due: drops the slot that `open` has made. Its signal ends the connection soon, so
   * this takes no longer.
   *
   * @throws {@link PbManifestError} `SERVER`, also when the connection is lost
   */
  async dropSlot(name: string): Promise<void> {
    this.#leaveStream()
    await this.#received.catch(ignore)
    await dropSlot(this.#client, name)
  }

  /** Ends the connection at once, whatever it does. Safe to call at any time. Never throws. */
  async close(): Promise<void> {
    await endConnection(this.#client)
    await this.#received.catch(ignore)
  }

  async #receive(startLsn: bigint, timeline: number): Promise<void> {
    await this.#options.files.prepare()
    const start = { timeline, startLsn: this.#segmentStart(startLsn) }
    const writer = new WalSegmentWriter(this.#options, start.timeline, start.startLsn)
    this.#writer = writer
    const { signal } = this.#options
    const leave = (): void => this.#leaveStream()
    signal?.addEventListener('abort', leave, { once: true })
    try {
      throwIfAborted(signal)
      await this.#receiveTimelines(writer, start)
    } catch (error) {
      await writer.close().catch(ignore)
      throwIfAborted(signal)
      throw error
    } finally {
      signal?.removeEventListener('abort', leave)
    }
    await writer.close()
  }

  async #receiveTimelines(writer: WalSegmentWriter, start: TimelineStart): Promise<void> {
    const { slot, statusInterval = STATUS_INTERVAL_MS } = this.#options
    const intake = new WalIntake(writer, { statusInterval, hasSlot: slot.kind !== 'none' })
    this.#intake = intake
    if (this.#endLsn !== undefined) intake.stopAt(this.#endLsn)
    const slotName = slot.kind === 'none' ? undefined : slot.name
    let { timeline, startLsn } = start
    for (;;) {
      await this.#storeHistory(timeline)
      // It may have been told to stop while there was no stream.
      if (intake.isComplete) return
      const end = await intake.takeStream(this.#client, { slot: slotName, timeline, startLsn })
      if (end.reason === 'stopped') return
      timeline = end.nextTimeline
      startLsn = this.#segmentStart(end.switchLsn)
      await writer.startAt(timeline, startLsn)
    }
  }

  /** At once. A slot that was made is dropped over the same connection. */
  #leaveStream(): void {
    if (this.#options.slot.kind !== 'created') return destroyConnection(this.#client)
    this.#endLsn = 0n
    this.#intake?.stopAt(0n)
  }

  async #storeHistory(timeline: number): Promise<void> {
    if (timeline === 1) return
    const { name, content } = await fetchTimelineHistory(this.#client, timeline)
    await this.#options.files.writeWhole(name, content)
  }

  #segmentStart(lsn: bigint): bigint {
    return lsn - (lsn % BigInt(this.#options.walSegmentSize))
  }
}

interface TimelineStart {
  readonly timeline: number
  readonly startLsn: bigint
}

function ignore(): void {
  // The error that matters is reported by another way.
}
