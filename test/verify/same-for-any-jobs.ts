import type { VerifyReport } from '../../src/verify/report.js'

/** A report without when and how it was made: what is the same for every number of jobs. */
export interface WhatWasFound extends Omit<
  VerifyReport,
  'seconds' | 'engines' | 'startedAt' | 'endedAt' | 'options'
> {
  readonly options: Omit<VerifyReport['options'], 'jobs'>
}

/** What of a report is the same for every number of jobs. */
export function sameForAnyJobs(report: VerifyReport): WhatWasFound {
  const { seconds: _, engines: _engines, startedAt: _start, endedAt: _end, options, ...found } = report
  const { jobs: _jobs, ...asked } = options
  return { ...found, options: asked }
}
