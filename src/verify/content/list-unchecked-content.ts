import { formatLsn } from '../../postgres/lsn.js'
import type { VerifyOptions } from '../options.js'
import type { NotChecked } from '../report.js'
import type { ContentDecision } from './decide-content-rules.js'

/** What of the files' content is left out, by what was decided. */
export function listUncheckedContent(
  { skipChecksums }: VerifyOptions,
  { whyNoPageChecksums, incrementalFrom }: ContentDecision,
): NotChecked[] {
  const left: NotChecked[] = []
  if (whyNoPageChecksums !== undefined) left.push({ what: 'page-checksums', why: whyNoPageChecksums })
  if (incrementalFrom !== undefined) {
    if (skipChecksums === true) left.push({ what: 'incremental-files', why: 'skipped on request' })
    const { lsn, timeline } = incrementalFrom
    const why = `it builds on the backup that starts at ${formatLsn(lsn)} on timeline ${timeline}: see --chain`
    left.push({ what: 'earlier-backups', why })
  }
  return left
}
