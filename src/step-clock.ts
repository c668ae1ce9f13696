/** Measures the wall time of each step of a verification or a backup, and of all. */
export class StepClock<Step extends string> {
  readonly #start = performance.now()
  readonly #seconds: Record<Step, number>
  readonly #onStep: ((step: Step) => void) | undefined

  /**
   * @param steps - all that there are, in the order in which they are told
   * @param onStep - is told each step when it begins
   */
  constructor(steps: readonly Step[], onStep?: (step: Step) => void) {
    this.#onStep = onStep
    this.#seconds = Object.fromEntries(steps.map((step) => [step, 0])) as Record<Step, number>
  }

  async time<Result>(step: Step, run: () => Promise<Result>): Promise<Result> {
    const start = performance.now()
    this.#onStep?.(step)
    try {
      return await run()
    } finally {
      this.#seconds[step] += (performance.now() - start) / 1000
    }
  }

  /** In seconds; 0 for a step that was not taken. */
  seconds(): Record<Step | 'total', number> {
    return { ...this.#seconds, total: (performance.now() - this.#start) / 1000 }
  }
}
