import { type SchemaName, validatorOf } from '../schemas/validator.js'
import type { ChainReport } from './chain/chain-report.js'
import type { VerifyReport } from './report.js'

/**
 * The report as a JSON document, by its schema.
 *
 * @throws Error when the report does not fit `schemas/verify-report.schema.json`: a bug of ours
 */
export function formatReportAsJson(report: VerifyReport): string {
  return formatAsJson(report, 'verify-report')
}

/** The same for a chain, by `schemas/verify-chain-report.schema.json`. */
export function formatChainReportAsJson(report: ChainReport): string {
  return formatAsJson(report, 'verify-chain-report')
}

function formatAsJson(report: VerifyReport | ChainReport, schema: SchemaName): string {
  const mismatch = validatorOf(schema)(report)
  if (mismatch !== undefined) throw new Error(`the report does not fit its schema: ${mismatch}`)
  return JSON.stringify(report, null, 2)
}
