import type { CleanUp } from './clean-up.js'
import type { FirstFailure } from './first-failure.js'
import type { BackupOptions } from './options.js'
import type { PrestartedWorkers } from './prestarted-workers.js'

/** What a run goes by, and where it registers what is to be undone. */
export interface RunContext {
  readonly options: BackupOptions & { readonly jobs: number }
  /** What the workers are made of. */
  readonly workers: PrestartedWorkers
  readonly failure: FirstFailure
  readonly cleanUp: CleanUp
}
