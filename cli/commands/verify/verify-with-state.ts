import { isPbManifestError } from '../../../src/errors.js'
import type { ReadingPlan, Subset } from '../../../src/state/plan-files.js'
import type { VerifyOptions } from '../../../src/verify/options.js'
import type { VerifyReport } from '../../../src/verify/report.js'
import { type ExitStatus, exitStatus } from '../../exit-status.js'
import { invalidValue, readOptional } from '../../option-values.js'
import { readDuration } from '../../read-duration.js'
import { usageError } from '../../usage-error.js'
import type { CommandContext } from '../command.js'

/** Where and how the report is to be kept. */
export interface StateRequest extends ReadingPlan {
  readonly directory: string
}

/** The options of `verify` that have to do with state. */
interface StateValues {
  readonly state?: string | undefined
  readonly 'max-age'?: string | undefined
  readonly subset?: string | undefined
  readonly 'skip-checksums'?: boolean | undefined
}

/** What the options ask for; the environment does not ask for what cannot be. `undefined` when nothing is to be kept. */
export function readStateRequest(
  values: StateValues,
  env: CommandContext['env'],
  { canKeep }: { readonly canKeep: boolean },
): StateRequest | undefined {
  const directory = values.state ?? (canKeep ? env['PBMANIFEST_STATE'] || undefined : undefined)
  const partial = (['max-age', 'subset'] as const).find((name) => values[name] !== undefined)
  if (partial !== undefined) {
    if (directory === undefined) throw usageError(`--${partial} is for use with --state`)
    if (values['skip-checksums'] === true)
      throw usageError(`cannot specify both --${partial} and -s/--skip-checksums`)
  }
  if (directory === undefined) return undefined
  return {
    directory,
    maxAgeSeconds: readOptional(readDuration, '--max-age', values['max-age']),
    subset: readOptional(readSubset, '--subset', values.subset),
  }
}

const byteUnits: Readonly<Record<string, number>> = {
  kB: 1024,
  k: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
}

/** Reads `5%`, `3/30` or `200G`. */
function readSubset(name: string, text: string): Subset {
  const [, percent] = /^(\d{1,3}(?:\.\d{1,6})?)\s*%$/.exec(text) ?? []
  if (percent !== undefined && Number(percent) > 0 && Number(percent) <= 100)
    return { type: 'share', share: Number(percent) / 100 }
  const [, part, of] = /^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? []
  if (Number(part) >= 1 && Number(part) <= Number(of))
    return { type: 'part', part: Number(part), of: Number(of) }
  const [, number, unit] = /^(\d{1,9}(?:\.\d{1,6})?)\s*([kMGT])B?$/.exec(text) ?? []
  const bytes = Math.floor(Number(number) * (byteUnits[unit ?? ''] ?? Number.NaN))
  if (bytes > 0) return { type: 'bytes', bytes }
  throw invalidValue(name, text, 'a share such as 5%, a part such as 3/30, or a size such as 200G')
}

/** A report, and what is still to be done with it. */
export interface ReportToKeep {
  readonly report: VerifyReport
  /**
   * Keeps it, when it has been told. That this fails does not make the report another one: it is said, and the status is that
   * of the failure, unless the report's own is worse.
   */
  readonly keep: (status: ExitStatus) => Promise<ExitStatus>
}

/** Verifies a backup, and keeps the report in a state directory. */
export async function verifyWithState(
  { messages }: Pick<CommandContext, 'messages'>,
  { directory: stateDirectory, ...plan }: StateRequest,
  directory: string,
  options: VerifyOptions,
): Promise<ReportToKeep> {
  const { VerificationState } = await import('../../../src/state/verification-state.js')
  const { verifyBackupAndKeep } = await import('../../../src/verify/verify-backup.js')
  const state = await VerificationState.open(stateDirectory, directory, {
    ...plan,
    onWarning: (message) => messages.warning(message),
  })
  try {
    const report = await verifyBackupAndKeep(state, directory, {
      ...options,
      onProblem: (problem) => {
        state.noteProblem()
        options.onProblem?.(problem)
      },
    })
    return { report, keep: (status) => keep(report, status) }
  } catch (error) {
    // Its own failure is worth no word: what counts is why there is no report.
    await state.keepEvidence().catch(() => {})
    await state.keepFailure(error).catch(() => {})
    state.close()
    throw error
  }

  async function keep(report: VerifyReport, status: ExitStatus): Promise<ExitStatus> {
    try {
      await state.keep(report)
      return status
    } catch (error) {
      if (!isPbManifestError(error)) throw error
      messages.error(`could not keep the report: ${error.message}`)
      return status === exitStatus.problems ? status : exitStatus.inputOutput
    } finally {
      state.close()
    }
  }
}
