import { setImmediate } from 'node:timers/promises'
import { PbManifestError } from '../errors.js'

/** How long synchronous work may hold up timers, signals and messages, in milliseconds. */
const SLICE_MS = 10

/** Lets a long stretch of synchronous work stop for everything else now and then, and end when it is told to. */
export class Yielder {
  readonly #signal: AbortSignal | undefined
  #sliceEnd = performance.now() + SLICE_MS

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
    throwIfAborted(signal)
  }

  /** Whether it is time to call {@link yield}; cheap enough for every step. */
  get isDue(): boolean {
    return performance.now() >= this.#sliceEnd
  }

  /**
   * Lets waiting work run.
   *
   * @throws {@link PbManifestError} `ABORTED`
   */
  async yield(): Promise<void> {
    await setImmediate()
    throwIfAborted(this.#signal)
    this.#sliceEnd = performance.now() + SLICE_MS
  }
}

/** @throws {@link PbManifestError} `ABORTED` when the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new PbManifestError('ABORTED', 'aborted', { cause: signal.reason })
}
