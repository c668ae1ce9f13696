import type { CleanUp } from './clean-up.js'
import type { FirstFailure } from './first-failure.js'
import type { BackupOptions } from './options.js'
import type { WorkersAhead } from './workers-ahead.js'

/** What a run goes by, and where it registers what is to be undone. */
export interface RunContext {
  readonly options: BackupOptions & { readonly jobs: number }
  /** What the workers are made of. */
  readonly workers: WorkersAhead
  readonly failure: FirstFailure
  readonly cleanUp: CleanUp
}
