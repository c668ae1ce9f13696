import { type VerifyStep, verifySteps } from './report.js'

/** Measures the wall time of each step of a verification, and of all. */
export class StepTimer {
  readonly #start = performance.now()
  readonly #seconds = new Map<VerifyStep, number>()

  async time<Result>(step: VerifyStep, run: () => Promise<Result>): Promise<Result> {
    const start = performance.now()
    try {
      return await run()
    } finally {
      this.#seconds.set(step, (performance.now() - start) / 1000)
    }
  }

  /** In seconds; 0 for a step that was not taken. */
  seconds(): Record<VerifyStep | 'total', number> {
    const bySteps = Object.fromEntries(verifySteps.map((step) => [step, this.#seconds.get(step) ?? 0]))
    return { ...(bySteps as Record<VerifyStep, number>), total: (performance.now() - this.#start) / 1000 }
  }
}
