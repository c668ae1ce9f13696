/** Where a part of the program waits until another part of the same thread wakes it. One waits at a time. */
export class WakeUp {
  #resolve: (() => void) | undefined

  wake(): void {
    this.#resolve?.()
    this.#resolve = undefined
  }

  /** Whoever is woken looks again whether there is what it waits for. */
  async wait(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#resolve = resolve
    })
  }
}

/** Messages in line for one who takes them in their order. */
export class Inbox<Message> {
  readonly #messages: Message[] = []
  readonly #wakeUp = new WakeUp()

  push(message: Message): void {
    this.#messages.push(message)
    this.#wakeUp.wake()
  }

  /** Takes the first message; waits for one. */
  async next(): Promise<Message> {
    for (;;) {
      const message = this.#messages.shift()
      if (message !== undefined) return message
      await this.#wakeUp.wait()
    }
  }
}

/** A count in memory that threads share, and for which they sleep. It wraps around. */
export class SharedCount {
  readonly #memory: Int32Array
  readonly #index: number

  constructor(memory: Int32Array, index = 0) {
    this.#memory = memory
    this.#index = index
  }

  get value(): number {
    return Atomics.load(this.#memory, this.#index)
  }

  /** Counts on, and wakes the threads that wait for it. */
  add(count = 1): void {
    Atomics.add(this.#memory, this.#index, count)
    this.wakeThreads()
  }

  /** Has the threads that wait look at what else has changed. */
  wakeThreads(): void {
    Atomics.notify(this.#memory, this.#index)
  }

  /**
   * Puts this thread to sleep as long as the count is still this one. It may wake without need: look again.
   *
   * @returns false when the time was up
   */
  sleepWhile(value: number, milliseconds?: number): boolean {
    return Atomics.wait(this.#memory, this.#index, value, milliseconds) !== 'timed-out'
  }
}
