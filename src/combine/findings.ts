import type { CombineOptions } from './options.js'
import type { ChainProblem } from '../verify/chain/chain-report.js'
import type { Problem } from '../verify/report.js'
import type { CombineNotChecked, CombineWarning, InputProblem } from './report.js'

/** What is found out about the inputs, told at once and kept for the report. */
export class CombineFindings {
  readonly problems: InputProblem[] = []
  readonly chainProblems: ChainProblem[] = []
  readonly warnings: CombineWarning[] = []
  readonly notChecked: CombineNotChecked[] = []
  readonly #options: Pick<CombineOptions, 'onProblem' | 'onWarning'>

  constructor(options: Pick<CombineOptions, 'onProblem' | 'onWarning'>) {
    this.#options = options
  }

  get hasProblem(): boolean {
    return this.problems.length + this.chainProblems.length > 0
  }

  /** Of one of the backups. */
  addProblem(directory: string, problem: Problem): void {
    this.problems.push({ directory, problem })
    this.#options.onProblem?.(problem, directory)
  }

  /** Between the backups. */
  addChainProblem(problem: ChainProblem): void {
    this.chainProblems.push(problem)
    this.#options.onProblem?.(problem, problem.directory)
  }

  warn(warning: CombineWarning): void {
    this.warnings.push(warning)
    this.#options.onWarning?.(warning)
  }

  leave(notChecked: CombineNotChecked): void {
    const isKnown = this.notChecked.some(
      ({ what, why }) => what === notChecked.what && why === notChecked.why,
    )
    if (!isKnown) this.notChecked.push(notChecked)
  }
}
