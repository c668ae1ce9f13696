import { setTimeout } from 'node:timers/promises'
import { throwIfAborted } from '../../files/yielder.js'
import { NotedFiles } from './tar-place.js'
import type { CompressedSoFar, PieceCompressor } from '../../files/compression/piece-compressor.js'

/** So long, in milliseconds, one sleeps before looking whether it is still to go on. */
const LONGEST_SLEEP_MS = 200

const TURN_BYTES = 8
const SLOTS = 4
const [END, BYTES, CRC, NOTES] = [0, 1, 2, 3] as const

/** What all who write into one archive share: whose turn it is, and what is written so far. */
export class StreamState {
  static readonly bytes: number = TURN_BYTES + SLOTS * BigInt64Array.BYTES_PER_ELEMENT
  readonly #turn: Int32Array
  readonly #slots: BigInt64Array

  /** @param index - of the archive, of those that share the memory */
  constructor(memory: SharedArrayBuffer, index: number) {
    const start = index * StreamState.bytes
    this.#turn = new Int32Array(memory, start, 1)
    this.#slots = new BigInt64Array(memory, start + TURN_BYTES, SLOTS)
  }

  /** See {@link NotedFiles}. */
  get notes(): NotedFiles {
    return new NotedFiles(this.#slots, NOTES)
  }

  /** Waits for the turn, in no order. @throws {@link PbManifestError} `ABORTED` */
  async takeTurn(signal: AbortSignal): Promise<void> {
    while (Atomics.compareExchange(this.#turn, 0, 0, 1) !== 0) {
      throwIfAborted(signal)
      await sleepWhileTaken(this.#turn)
    }
  }

  giveTurn(): void {
    Atomics.store(this.#turn, 0, 0)
    Atomics.notify(this.#turn, 0, 1)
  }

  // Whose turn it is reads and writes these.

  /** How long the archive is. */
  get end(): number {
    return Number(Atomics.load(this.#slots, END))
  }

  get soFar(): CompressedSoFar {
    return { bytes: Number(Atomics.load(this.#slots, BYTES)), crc32: Number(Atomics.load(this.#slots, CRC)) }
  }

  note(end: number, { bytes, crc32 }: CompressedSoFar): void {
    Atomics.store(this.#slots, END, BigInt(end))
    Atomics.store(this.#slots, BYTES, BigInt(bytes))
    Atomics.store(this.#slots, CRC, BigInt(crc32))
  }
}

/** Where the bytes of an archive go. */
export interface StreamOutput {
  /** @throws {@link PbManifestError} `IO` */
  write(bytes: Uint8Array, position: number): Promise<void>
}

export interface ArchiveStreamOptions {
  readonly state: StreamState
  readonly output: StreamOutput
  readonly compressor: PieceCompressor
  /** How many pieces may be on their way. */
  readonly limit: number
  readonly signal: AbortSignal
}

/** What is compressed at a time, and by whoever is free. */
const PIECE_BYTES = 1024 * 1024

/**
 * Writes members into an archive that has to be written from its beginning to its end, beside others who do the same. Bytes are gathered
 * into pieces, which are compressed beside each other, and written in their order. Members that fit into a piece need a turn for
 * as long as that is written; one that does not keeps the turn from its first piece to its last.
 */
export class ArchiveStream {
  readonly #options: ArchiveStreamOptions
  #buffer = Buffer.allocUnsafe(PIECE_BYTES)
  #used = 0
  /** Where the member at hand begins in the buffer, when all of it is there. */
  #memberStart = 0
  /** Whether a part of the member at hand is in an earlier piece. */
  #isWithinMember = false
  #hasTurn = false
  /** The pieces on their way, the oldest first. Each settles after those before it. */
  readonly #pieces: Promise<void>[] = []
  #last: Promise<void> = Promise.resolve()

  constructor(options: ArchiveStreamOptions) {
    this.#options = options
  }

  /** Appends to the member at hand. */
  write(bytes: Uint8Array): void | Promise<void> {
    const rest = this.#fill(bytes)
    if (rest.length > 0 || this.#pieces.length >= this.#options.limit) return this.#writeRest(rest)
  }

  /** The member at hand is whole. */
  endMember(): void | Promise<void> {
    this.#memberStart = this.#used
    if (this.#used < PIECE_BYTES && !this.#isWithinMember) return
    this.#cut('whole')
    this.#isWithinMember = false
    if (this.#pieces.length >= this.#options.limit) return this.#waitForRoom()
  }

  /**
   * Takes back what there is of the member at hand.
   *
   * @returns false when a part of it is on its way already
   */
  retract(): boolean {
    if (this.#isWithinMember) return false
    this.#used = this.#memberStart
    return true
  }

  /** Resolves when all is written. */
  async flush(): Promise<void> {
    if (this.#used > 0) this.#cut('whole')
    this.#isWithinMember = false
    await this.#last
    this.#pieces.length = 0
  }

  /** Begins the archive. */
  async begin(): Promise<void> {
    const { state, output, compressor } = this.#options
    if (compressor.begin.length > 0) await output.write(compressor.begin, 0)
    state.note(compressor.begin.length, { bytes: 0, crc32: 0 })
  }

  /** All members are there, of all who write. */
  async end(trailer: Buffer): Promise<void> {
    await this.write(trailer)
    await this.flush()
    const { state, output, compressor } = this.#options
    const bytes = compressor.end(state.soFar)
    if (bytes.length === 0) return
    await output.write(bytes, state.end)
    state.note(state.end + bytes.length, state.soFar)
  }

  async #writeRest(bytes: Uint8Array): Promise<void> {
    await this.#waitForRoom()
    for (let rest = bytes; rest.length > 0;) {
      rest = this.#fill(rest)
      await this.#waitForRoom()
    }
  }

  /** @returns what has no room yet */
  #fill(bytes: Uint8Array): Uint8Array {
    let rest = bytes
    while (rest.length > 0 && this.#pieces.length < this.#options.limit) {
      if (this.#used === PIECE_BYTES) {
        this.#cut('part')
        this.#isWithinMember = true
        continue
      }
      const length = Math.min(rest.length, PIECE_BYTES - this.#used)
      this.#buffer.set(rest.subarray(0, length), this.#used)
      this.#used += length
      rest = rest.subarray(length)
    }
    return rest
  }

  async #waitForRoom(): Promise<void> {
    while (this.#pieces.length >= this.#options.limit) await this.#pieces[0]
  }

  /** @param what - whether the member at hand goes on in the next piece */
  #cut(what: 'whole' | 'part'): void {
    const piece = this.#buffer.subarray(0, this.#used)
    this.#buffer = Buffer.allocUnsafe(PIECE_BYTES)
    this.#used = 0
    this.#memberStart = 0
    const before = this.#last
    const compressed = this.#options.compressor.compress(piece)
    const write = async (): Promise<void> => {
      // That is heard, whatever becomes of the pieces before.
      const [bytes] = await Promise.all([compressed, before])
      await this.#append(bytes, piece)
      if (what === 'whole') this.#leave()
      void this.#pieces.shift()
    }
    this.#last = write()
    this.#last.catch(() => {})
    this.#pieces.push(this.#last)
  }

  async #append(bytes: Uint8Array, piece: Buffer): Promise<void> {
    const { state, output, compressor, signal } = this.#options
    if (!this.#hasTurn) await state.takeTurn(signal)
    this.#hasTurn = true
    const { end } = state
    await output.write(bytes, end)
    state.note(end + bytes.length, compressor.add(state.soFar, piece))
  }

  #leave(): void {
    this.#hasTurn = false
    this.#options.state.giveTurn()
  }
}

/** Until somebody gives the turn, or for a moment. */
async function sleepWhileTaken(turn: Int32Array): Promise<void> {
  const { waitAsync } = Atomics as unknown as { readonly waitAsync: WaitAsync }
  const waiting = waitAsync(turn, 0, 1, LONGEST_SLEEP_MS)
  if (waiting.async) await Promise.race([waiting.value, setTimeout(2 * LONGEST_SLEEP_MS)])
}

/** Of ES2024; Node 20 has it. */
type WaitAsync = (
  memory: Int32Array,
  index: number,
  value: number,
  milliseconds: number,
) => { readonly async: false } | { readonly async: true; readonly value: Promise<string> }
