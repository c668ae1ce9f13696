import { throwIfAborted } from '../../../files/yielder.js'
import { WakeUp } from '../../../threads/wake-up.js'
import type { ResultPart } from '../../commands/command-contract.js'

/** Uint8: {@link PIECES} times {@link PIECE_BYTES}. */
export type PieceMemory = SharedArrayBuffer

/** So many pieces are filled and emptied in turn: while the socket takes one, the next is being read. */
export const PIECES = 4
export const PIECE_BYTES: number = 512 * 1024

export function allocatePieces(): PieceMemory {
  return new SharedArrayBuffer(PIECES * PIECE_BYTES)
}

/** The memory of each piece. */
export function piecesOf(memory: PieceMemory): Buffer[] {
  return Array.from({ length: PIECES }, (_, piece) => Buffer.from(memory, piece * PIECE_BYTES, PIECE_BYTES))
}

/** A part of a result; of its bytes, how many there are in the piece. */
export type StreamPart =
  Exclude<ResultPart, { type: 'bytes' }> | { readonly type: 'bytes'; readonly length: number }

/** Bytes that came so long ago, in milliseconds, are not kept back until the piece is full. */
const LONGEST_KEPT_MS = 50

/** So many parts go out at the latest, however few their bytes are. */
const MAX_PARTS = 512

/**
 * Gathers parts of streams in pieces of shared memory and sends them off, one message for each piece: there are often a
 * thousand files in a second.
 */
export class StreamSender {
  readonly #pieces: readonly Buffer[]
  readonly #send: (piece: number, parts: readonly StreamPart[]) => void
  readonly #free: number[] = Array.from({ length: PIECES }, (_, piece) => piece)
  readonly #wakeUp = new WakeUp()
  #piece: number | undefined
  #parts: StreamPart[] = []
  #filled = 0
  #beganAt = 0

  constructor(memory: PieceMemory, send: (piece: number, parts: readonly StreamPart[]) => void) {
    this.#pieces = piecesOf(memory)
    this.#send = send
  }

  /** Says that a piece was emptied. */
  release(piece: number): void {
    this.#free.push(piece)
    this.wake()
  }

  /** Has whoever waits for memory look again, also at the signal. */
  wake(): void {
    this.#wakeUp.wake()
  }

  /** @throws {@link PbManifestError} `ABORTED`, as does the other one that waits for memory */
  async add(part: Exclude<StreamPart, { type: 'bytes' }>, signal: AbortSignal): Promise<void> {
    await this.#openPiece(signal)
    this.#parts.push(part)
    this.#flushIfDue()
  }

  /** Takes a copy of the bytes. */
  async addBytes(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const memory = await this.#openPiece(signal)
      const length = Math.min(bytes.length - at, PIECE_BYTES - this.#filled)
      memory.set(bytes.subarray(at, at + length), this.#filled)
      this.#parts.push({ type: 'bytes', length })
      this.#filled += length
      at += length
      this.#flushIfDue()
    }
  }

  /** Sends off what there is. */
  flush(): void {
    if (this.#piece === undefined) return
    this.#send(this.#piece, this.#parts)
    this.#piece = undefined
  }

  /** Forgets what was not sent off. */
  discard(): void {
    if (this.#piece !== undefined) this.release(this.#piece)
    this.#piece = undefined
  }

  async #openPiece(signal: AbortSignal): Promise<Buffer> {
    while (this.#piece === undefined) {
      throwIfAborted(signal)
      const piece = this.#free.shift()
      if (piece === undefined) {
        await this.#wakeUp.wait()
        continue
      }
      this.#piece = piece
      this.#parts = []
      this.#filled = 0
      this.#beganAt = performance.now()
    }
    return this.#pieces[this.#piece] ?? Buffer.alloc(0)
  }

  #flushIfDue(): void {
    const isDue =
      this.#filled === PIECE_BYTES ||
      this.#parts.length >= MAX_PARTS ||
      performance.now() - this.#beganAt >= LONGEST_KEPT_MS
    if (isDue) this.flush()
  }
}
