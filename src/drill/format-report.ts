import { validatorOf } from '../schemas/validator.js'
import type { DrillReport } from './report.js'

/**
 * The report as a JSON document.
 *
 * @throws Error when the report does not fit `schemas/drill-report.schema.json`: a bug of ours
 */
export function formatDrillReportAsJson(report: DrillReport): string {
  const mismatch = validatorOf('drill-report')(report)
  if (mismatch !== undefined) throw new Error(`the report does not fit its schema: ${mismatch}`)
  return JSON.stringify(report, null, 2)
}
