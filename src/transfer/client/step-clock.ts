import { type BackupStep, backupSteps } from './report.js'

/** Measures the wall time of each step of a backup, and of all. */
export class StepClock {
  readonly #start = performance.now()
  readonly #seconds = new Map<BackupStep, number>()

  async time<Result>(step: BackupStep, run: () => Promise<Result>): Promise<Result> {
    const start = performance.now()
    try {
      return await run()
    } finally {
      this.#seconds.set(step, (this.#seconds.get(step) ?? 0) + (performance.now() - start) / 1000)
    }
  }

  /** In seconds. */
  seconds(): Record<BackupStep | 'total', number> {
    const bySteps = Object.fromEntries(backupSteps.map((step) => [step, this.#seconds.get(step) ?? 0]))
    return { ...(bySteps as Record<BackupStep, number>), total: (performance.now() - this.#start) / 1000 }
  }
}
