import { setTimeout } from 'node:timers/promises'

/** A kilobyte of a rate. */
const KILOBYTE = 1024
const NS_PER_SECOND = 1_000_000_000
const NS_PER_MS = 1_000_000n

/** So much time's bytes may pass at once after a pause; a server, too, looks eight times a second. */
const BURST_NS = 125_000_000n

/** For how long, in milliseconds, a thread sleeps before looking whether anybody still waits for it. */
const LONGEST_SLEEP_MS = 250

/** Rates that a server takes for BASE_BACKUP, in kB/s. @see src/include/backup/basebackup.h */
export const MIN_RATE = 32
export const MAX_RATE: number = 1024 * 1024

/** How many bytes to take at a time, so that they flow and do not gush: an eighth of a second's, but whole pages. */
export function pieceBytesOf(rate: number): number {
  return Math.max(8192, Math.floor((rate * KILOBYTE) / 8 / 8192) * 8192)
}

/**
 * Takes bytes out of a rate that several threads share. What they share is one number: the moment up to which all bytes are
 * given away. Whoever wants to pass on bytes moves it on by the time that those take, in one atomic step, and sleeps until
 * then. So turns are taken in the order of asking, nobody is woken in vain, and no message is sent.
 *
 * @param paidUntil - that number, in nanoseconds
 * @param rate - in kB/s
 * @param now - in nanoseconds since some moment that is the same for all threads
 * @returns from when on the bytes may pass
 */
export function reserveBytes(paidUntil: BigInt64Array, rate: number, bytes: number, now: bigint): bigint {
  const cost = BigInt(Math.ceil((bytes * NS_PER_SECOND) / (rate * KILOBYTE)))
  for (;;) {
    const found = Atomics.load(paidUntil, 0)
    // What nobody took while it was there is lost, but for the burst.
    const from = found > now - BURST_NS ? found : now - BURST_NS
    if (Atomics.compareExchange(paidUntil, 0, found, from + cost) === found) return from + cost
  }
}

/** A {@link SharedRate} as another thread gets it. */
export interface SharedRateBuffer {
  /** In kB/s. */
  readonly rate: number
  /** BigInt64: see {@link reserveBytes}. */
  readonly paidUntil: SharedArrayBuffer
}

/** Keeps threads that read together at one rate, and whoever waits for them. */
export class SharedRate {
  readonly buffer: SharedRateBuffer
  readonly #paidUntil: BigInt64Array

  constructor(buffer: SharedRateBuffer) {
    this.buffer = buffer
    this.#paidUntil = new BigInt64Array(buffer.paidUntil)
  }

  /** Nothing was saved up before it begins. @param rate - in kB/s; `undefined`: no limit */
  static begin(rate: number | undefined): SharedRate | undefined {
    if (rate === undefined) return undefined
    const paidUntil = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)
    new BigInt64Array(paidUntil)[0] = process.hrtime.bigint()
    return new SharedRate({ rate, paidUntil })
  }

  get pieceBytes(): number {
    return pieceBytesOf(this.buffer.rate)
  }

  /**
   * Takes bytes that this thread has read, and sleeps until more may be.
   *
   * @param onWake - is called now and then while it waits; may throw
   */
  takeSleeping(bytes: number, onWake: () => void): void {
    const due = this.#reserve(bytes)
    for (let now = process.hrtime.bigint(); now < due; now = process.hrtime.bigint()) {
      onWake()
      Atomics.wait(
        nobodyWakes,
        0,
        0,
        Math.min(Number((due - now + NS_PER_MS - 1n) / NS_PER_MS), LONGEST_SLEEP_MS),
      )
    }
  }

  /** The same without holding up the thread; ends early when the signal fires. */
  async take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const left = this.#reserve(bytes) - process.hrtime.bigint()
    if (left > 0n) {
      const milliseconds = Number((left + NS_PER_MS - 1n) / NS_PER_MS)
      await setTimeout(milliseconds, undefined, signal && { signal }).catch(() => {})
    }
  }

  #reserve(bytes: number): bigint {
    return reserveBytes(this.#paidUntil, this.buffer.rate, bytes, process.hrtime.bigint())
  }
}

const nobodyWakes = new Int32Array(new SharedArrayBuffer(4))
