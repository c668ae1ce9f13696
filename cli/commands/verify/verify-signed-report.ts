import { statSync } from 'node:fs'
import { displayPathname } from '../../../src/files/pathname.js'
import type { SignatureDemand } from '../../../src/signature/check-signature.js'
import type { SignedReportCheck } from '../../../src/signature/signed-report.js'
import { formatAsJson } from '../../../src/schemas/validator.js'
import { type ExitStatus, exitStatus } from '../../exit-status.js'
import type { CommandContext } from '../command.js'
import { printProblem } from './print-verdict.js'

/** Whether this is a file, and so, where a backup has to be signed, a report. */
export function isReportFile(path: string): boolean {
  return path !== '-' && statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

/** Runs `verify --allowed-signers` of a report: of its signature, and then it is what the report says that counts. */
export async function runVerifySignedReport(
  { print, printJson, messages, signal }: CommandContext,
  path: string,
  demand: SignatureDemand,
  { isJson, isQuiet }: { readonly isJson: boolean; readonly isQuiet: boolean },
): Promise<ExitStatus> {
  const { checkSignedReport } = await import('../../../src/signature/signed-report.js')
  const check = checkSignedReport(path, demand, signal)
  const { signature, verdict, problems } = check
  if (isJson) {
    printJson(formatAsJson('signed-report', check))
  } else if (signature === null) {
    for (const problem of problems) printProblem(messages, problem)
    messages.note('verification of the report failed')
  } else if (!isQuiet) {
    const says = verdict === null ? 'it has no verdict' : `its verdict is "${verdict}"`
    print(`report "${displayPathname(path)}" is signed by "${signature.signer}"; ${says}`)
  }
  return exitStatusOf(check)
}

/** Whoever asks whether a signed report is good does not mean one that says that the backup is bad. */
function exitStatusOf({ verdict }: SignedReportCheck): ExitStatus {
  if (verdict === 'verified') return exitStatus.done
  return verdict === 'failed' ? exitStatus.problems : exitStatus.partial
}
