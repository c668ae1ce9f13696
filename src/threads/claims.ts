const CLAIMED = 0
const IS_ABANDONED = 1

/** Thrown out of the middle of work whose result nobody waits for any more. */
export class Abandoned extends Error {}

/** Which places of a list the threads that share this memory have taken, one after the other, and whether to go on. */
export class Claims {
  readonly buffer: SharedArrayBuffer
  readonly #control: Int32Array

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer
    this.#control = new Int32Array(buffer)
  }

  /** Takes the next place for this thread. */
  claim(): number {
    return Atomics.add(this.#control, CLAIMED, 1)
  }

  /** The place that is next, unless another thread is faster. */
  get next(): number {
    return Atomics.load(this.#control, CLAIMED)
  }

  /** Says that nobody wants to know any more. */
  abandon(): void {
    Atomics.store(this.#control, IS_ABANDONED, 1)
  }

  get isAbandoned(): boolean {
    return Atomics.load(this.#control, IS_ABANDONED) === 1
  }

  /** @throws {@link Abandoned} */
  throwIfAbandoned(): void {
    if (this.isAbandoned) throw new Abandoned()
  }
}
