import type { Yielder } from '../files/yielder.js'
import type { Pathname } from '../files/pathname.js'
import type { StepClock } from '../step-clock.js'
import type { IgnoreRules } from './ignore-rules.js'
import type { ManifestContents } from './manifest-files.js'
import type { VerifyOptions } from './options.js'
import { ProblemList } from './problems.js'
import type { NotChecked, VerifyStep, Warning } from './report.js'
import type { VerificationShare } from './share.js'

/** What the steps of a verification share. */
export interface VerifyContext {
  readonly options: VerifyOptions
  /** How many threads may work beside each other. */
  readonly jobs: number
  readonly manifest: ManifestContents
  readonly ignore: IgnoreRules
  readonly problems: ProblemList
  readonly notChecked: NotChecked[]
  readonly warnings: Warning[]
  readonly clock: StepClock<VerifyStep>
  readonly yielder: Yielder
  /** `undefined`: all of the backup. */
  readonly share?: VerificationShare | undefined
}

/**
 * Reads a small file of the backup.
 *
 * @param maxBytes - a longer one is not what it should be
 * @returns `undefined` when there is none
 * @throws {@link PbManifestError} `IO`
 */
export type ReadSmallBackupFile = (pathname: Pathname, maxBytes: number) => Buffer | undefined

/** The same, but nobody hears of what is found. */
export function unheard(context: VerifyContext): VerifyContext {
  return { ...context, problems: new ProblemList(undefined, false), notChecked: [], warnings: [] }
}
