/** Over so many milliseconds. */
const WINDOW_MS = 10_000
/** Samples are taken no closer together. */
const INTERVAL_MS = 500

interface Sample {
  readonly time: number
  readonly value: number
}

/** How fast a number has grown lately, from samples of it. */
export class RateMeter {
  #samples: readonly Sample[]

  /** @param time - in milliseconds, as for all */
  constructor(time: number) {
    this.#samples = [{ time, value: 0 }]
  }

  /** @returns whether the number has grown since the sample before */
  sample(time: number, value: number): boolean {
    const last = this.#samples.at(-1)
    if (last !== undefined && time - last.time < INTERVAL_MS) return false
    // The newest of those that are too old is where the window begins.
    const kept = this.#samples.filter(
      (_, index) => (this.#samples[index + 1]?.time ?? time) > time - WINDOW_MS,
    )
    this.#samples = [...kept, { time, value }]
    return value > (last?.value ?? 0)
  }

  /** Per second. */
  rate(time: number, value: number): number {
    const [first] = this.#samples
    if (first === undefined || time <= first.time) return 0
    return ((value - first.value) * 1000) / (time - first.time)
  }
}
