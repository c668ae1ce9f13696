import type { ChainReport } from '../../../src/verify/chain/chain-report.js'
import { formatCount } from '../../format.js'

/** Whether to go on to pg_combinebackup, in one line. */
export function formatCombineVerdict({ combine, notChecked, backups }: ChainReport): string {
  switch (combine) {
    case 'safe':
      return 'pg_combinebackup may combine these backups'
    case 'unsafe':
      return 'pg_combinebackup must not combine these backups'
    case 'unknown': {
      const left = backups.reduce((count, report) => count + report.notChecked.length, notChecked.length)
      return `whether pg_combinebackup may combine these backups is not known: ${formatCount(left, 'check')} left out`
    }
    default:
      return combine satisfies never
  }
}

/** How many problems the chain has, and where: `3 problems (2 in the backups, 1 between them)`. */
export function formatChainProblemCount({ backups, problems }: ChainReport): string {
  const counts = backups.flatMap(({ problemCounts }) => Object.values(problemCounts))
  const within = counts.reduce((sum, count) => sum + count, 0)
  const total = formatCount(within + problems.length, 'problem')
  return `${total} (${within} in the backups, ${problems.length} between them)`
}
