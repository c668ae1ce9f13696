import { type ErrorCode, isPbManifestError } from '../src/errors.js'
import type { VerifyReport } from '../src/verify/report.js'

/** What the process tells its caller. Programs may rely on these numbers; `docs/errors.md` explains them. */
export const exitStatus = {
  /** Done; for verify: the backup verifies. */
  done: 0,
  /** Verify found problems; diff, differences; ls, not all that it was asked for; status, a backup that is bad or stale. */
  problems: 1,
  badUsage: 2,
  /** A manifest or fragment cannot be read as one. */
  badInput: 3,
  /** No manifest can be made: of these fragments, or of this directory. */
  cannotMerge: 4,
  inputOutput: 5,
  /** Connection, protocol, or an error that the server reported. */
  server: 6,
  /**
   * Verify found no problem in the part of the backup that it saw, and was not asked for no more than that part; diff found no
   * difference, but could not compare all files.
   */
  partial: 7,
  /** A bug of ours. */
  bug: 70,
  /** 128 + SIGHUP, as a shell would say. */
  hungUp: 129,
  /** 128 + SIGINT. */
  interrupted: 130,
  /** 128 + SIGTERM. */
  terminated: 143,
} as const

export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus]

/** The signals on which we stop, clean up, and say so. */
export type StopSignal = 'SIGHUP' | 'SIGINT' | 'SIGTERM'

const statusOfErrorCode: Readonly<Record<ErrorCode, ExitStatus>> = {
  USAGE: exitStatus.badUsage,
  BAD_MANIFEST: exitStatus.badInput,
  BAD_FRAGMENT: exitStatus.badInput,
  BAD_FILE: exitStatus.inputOutput,
  CANNOT_MERGE: exitStatus.cannotMerge,
  CANNOT_CREATE: exitStatus.cannotMerge,
  IO: exitStatus.inputOutput,
  SERVER: exitStatus.server,
  ABORTED: exitStatus.interrupted,
}

// pg_control, backup_label and timeline history files say what must stand in a merged manifest. One that does not have
// its format makes that merge impossible, whatever the fragments are; for another command it is an input that failed.
// verify reports such a file as a problem of the backup.
const statusOfMergeErrorCode = { ...statusOfErrorCode, BAD_FILE: exitStatus.cannotMerge }

const statusOfVerdict: Readonly<Record<VerifyReport['verdict'], ExitStatus>> = {
  verified: exitStatus.done,
  failed: exitStatus.problems,
  partial: exitStatus.partial,
  // Nobody gets it who did not ask for no more, by --max-age or --subset.
  sampled: exitStatus.done,
}

const statusOfSignal: Readonly<Record<StopSignal, ExitStatus>> = {
  SIGHUP: exitStatus.hungUp,
  SIGINT: exitStatus.interrupted,
  SIGTERM: exitStatus.terminated,
}

/** The status for one of several backups of which there is no report. */
export function exitStatusOfErrorCode(code: ErrorCode): ExitStatus {
  return statusOfErrorCode[code]
}

/** The status for anything that a command has thrown. What is not thrown on purpose is a bug. */
export function exitStatusOfError(error: unknown, command: string | undefined): ExitStatus {
  if (!isPbManifestError(error)) return exitStatus.bug
  return (command === 'merge' || command === 'create' ? statusOfMergeErrorCode : statusOfErrorCode)[
    error.code
  ]
}

export function exitStatusOfVerdict(verdict: VerifyReport['verdict']): ExitStatus {
  return statusOfVerdict[verdict]
}

/**
 * From the best to the worst that one of several backups can come to. That it is damaged is worse than that nobody could look:
 * a directory without a manifest must not hide the one with a problem.
 */
const severities: readonly ExitStatus[] = [
  exitStatus.done,
  exitStatus.partial,
  exitStatus.badUsage,
  exitStatus.server,
  exitStatus.cannotMerge,
  exitStatus.inputOutput,
  exitStatus.badInput,
  exitStatus.problems,
  exitStatus.hungUp,
  exitStatus.interrupted,
  exitStatus.terminated,
  exitStatus.bug,
]

/** The one status that speaks for all of these: the worst. */
export function worstStatus(statuses: readonly ExitStatus[]): ExitStatus {
  return severities.findLast((status) => statuses.includes(status)) ?? exitStatus.done
}

export function exitStatusOfSignal(signal: StopSignal): ExitStatus {
  return statusOfSignal[signal]
}
