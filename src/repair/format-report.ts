import { validatorOf } from '../schemas/validator.js'
import type { RepairReport } from './report.js'

/**
 * The report as a JSON document.
 *
 * @throws Error when the report does not fit `schemas/repair-report.schema.json`: a bug of ours
 */
export function formatRepairReportAsJson(report: RepairReport): string {
  const mismatch = validatorOf('repair-report')(report)
  if (mismatch !== undefined) throw new Error(`the report does not fit its schema: ${mismatch}`)
  return JSON.stringify(report, null, 2)
}
