import type { Pathname } from '../../files/pathname.js'
import { PAGE_SIZE } from '../../postgres/data-page/page-layout.js'
import { fileProblem } from '../problems.js'
import type { Problem } from '../report.js'
import type { ContentFindings, PageMismatch } from './content-findings.js'

/** The problems of one file's content, in the words of pg_checksums and pg_combinebackup where they have words. */
export function contentProblems(pathname: Pathname, findings: ContentFindings): Problem[] {
  const { mismatches, mismatchCount, partialPage, layoutFault } = findings
  const problems = mismatches.map((mismatch) => mismatchProblem(pathname, mismatch))
  const more = mismatchCount - mismatches.length
  if (more > 0) {
    problems.push(
      fileProblem(
        'page-checksum',
        pathname,
        (name) => `checksum verification failed in file "${name}", ${more} further blocks`,
      ),
    )
  }
  if (partialPage !== undefined) {
    const { block, bytes } = partialPage
    problems.push(
      fileProblem(
        'partial-page',
        pathname,
        (name) => `could not read block ${block} in file "${name}": read ${bytes} of ${PAGE_SIZE}`,
      ),
    )
  }
  if (layoutFault !== undefined) {
    problems.push(fileProblem('incremental-file', pathname, (name) => `file "${name}" ${layoutFault}`))
  }
  return problems
}

function mismatchProblem(pathname: Pathname, { block, computed, stored }: PageMismatch): Problem {
  return fileProblem(
    'page-checksum',
    pathname,
    (name) =>
      `checksum verification failed in file "${name}", block ${block}: ` +
      `calculated checksum ${hex(computed)} but block contains ${hex(stored)}`,
  )
}

function hex(checksum: number): string {
  return checksum.toString(16).toUpperCase()
}
