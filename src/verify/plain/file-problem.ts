import type { FileTable } from '../file-table/file-table.js'
import { checksumFacts, fileProblem } from '../problems.js'
import type { Problem } from '../report.js'
import type { FileOutcome } from './check-file.js'

/** What there is to report about a file that was read. */
export function problemOf(table: FileTable, row: number, outcome: FileOutcome): Problem | undefined {
  if (outcome.type === 'match') return undefined
  const pathname = table.pathname(row)
  const size = table.size(row)
  switch (outcome.type) {
    case 'mismatch':
      return fileProblem(
        'checksum-mismatch',
        pathname,
        (name) => `checksum mismatch for file "${name}"`,
        checksumFacts(table, row, outcome.checksum),
      )
    case 'transient':
      return fileProblem(
        'transient-mismatch',
        pathname,
        (name) => `checksum mismatch for file "${name}", but not when it was read again`,
        checksumFacts(table, row, outcome.checksum),
        'the store, or what is between, gives wrong bytes at times',
      )
    case 'wrong size':
      return fileProblem(
        'changed-while-read',
        pathname,
        (name) => `file "${name}" should contain ${size} bytes, but read ${outcome.bytes}`,
        { size: { expected: size, found: outcome.bytes } },
      )
    case 'not a file':
      return fileProblem('not-a-file', pathname, (name) => `"${name}" is not a regular file or directory`)
    case 'failed':
      return fileProblem(
        'unreadable',
        pathname,
        (name) => `could not ${outcome.call} file "${name}": ${outcome.message}`,
        { errorCode: outcome.code },
      )
    default:
      return outcome satisfies never
  }
}
