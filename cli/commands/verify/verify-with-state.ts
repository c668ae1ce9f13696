import { isPbManifestError } from '../../../src/errors.js'
import type { VerifyOptions } from '../../../src/verify/options.js'
import type { VerifyReport } from '../../../src/verify/report.js'
import type { ExitStatus } from '../../exit-status.js'
import { exitStatus } from '../../exit-status.js'
import type { CommandContext } from '../command.js'

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
  stateDirectory: string,
  directory: string,
  options: VerifyOptions,
): Promise<ReportToKeep> {
  const { VerificationState } = await import('../../../src/state/verification-state.js')
  const { verifyBackupAndKeep } = await import('../../../src/verify/verify-backup.js')
  const onWarning = (message: string): void => messages.warning(message)
  const state = await VerificationState.open(stateDirectory, directory, onWarning)
  try {
    const report = await verifyBackupAndKeep(state, directory, options)
    return { report, keep: (status) => keep(report, status) }
  } catch (error) {
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
