import type { Manual } from './manual.js'
import { backupManual } from './pages/backup.js'
import { combineManual } from './pages/combine.js'
import { drillManual } from './pages/drill.js'
import { fleetManual } from './pages/fleet.js'
import { backupIdManual, createManual, fragmentManual, mergeManual } from './pages/fragments.js'
import { diffManual, lsManual, showManual } from './pages/inspect.js'
import { completionManual, helpManual } from './pages/program.js'
import { repairManual } from './pages/repair.js'
import { restoreManual } from './pages/restore.js'
import { serveManual } from './pages/serve.js'
import { signManual } from './pages/sign.js'
import { statusManual } from './pages/status.js'
import { mergeReportsManual } from './pages/merge-reports.js'
import { verifyManual } from './pages/verify.js'

/** By the names of the commands. */
export const manuals: Readonly<Record<string, Manual>> = {
  verify: verifyManual,
  'merge-reports': mergeReportsManual,
  fleet: fleetManual,
  status: statusManual,
  backup: backupManual,
  combine: combineManual,
  repair: repairManual,
  restore: restoreManual,
  drill: drillManual,
  sign: signManual,
  serve: serveManual,
  show: showManual,
  ls: lsManual,
  diff: diffManual,
  create: createManual,
  merge: mergeManual,
  fragment: fragmentManual,
  'backup-id': backupIdManual,
  help: helpManual,
  completion: completionManual,
}
