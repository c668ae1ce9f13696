import { validatorOf } from '../schemas/validator.js'
import type { VerifyReport } from './report.js'

/**
 * The report as a JSON document, by its schema.
 *
 * @throws Error when the report does not fit `schemas/verify-report.schema.json`: a bug of ours
 */
export function formatReportAsJson(report: VerifyReport): string {
  const mismatch = validatorOf('verify-report')(report)
  if (mismatch !== undefined) throw new Error(`the report does not fit its schema: ${mismatch}`)
  return JSON.stringify(report, null, 2)
}
