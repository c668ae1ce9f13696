import type { Pathname } from '../../files/pathname.js'
import { PAGE_SIZE } from '../../postgres/data-page/page-layout.js'
import { formatLsn } from '../../postgres/lsn.js'
import { fileProblem } from '../problems.js'
import type { Problem } from '../report.js'
import type { BadPage, ContentFindings } from './page-tally.js'

/** The problems of one file's layout, in the words of pg_checksums and pg_combinebackup where they have words. */
export function layoutProblems(pathname: Pathname, { partialPage, layoutFault }: ContentFindings): Problem[] {
  const problems: Problem[] = []
  if (partialPage !== undefined) {
    const { block, bytes } = partialPage
    problems.push(
      fileProblem(
        'partial-page',
        pathname,
        (name) => `could not read block ${block} in file "${name}": read ${bytes} of ${PAGE_SIZE}`,
        { block },
      ),
    )
  }
  if (layoutFault !== undefined) {
    problems.push(fileProblem('incremental-file', pathname, (name) => `file "${name}" ${layoutFault}`))
  }
  return problems
}

/** More pages of a file are counted, not named: PostgreSQL stops there too. */
const MAX_NAMED = 5

/**
 * The problems of one file's pages, in the words of pg_checksums where it has words.
 *
 * @param further - how many bad pages there are besides
 * @param detail - is told with the first
 */
export function pageProblems(
  pathname: Pathname,
  pages: readonly BadPage[],
  further: number,
  detail: string | undefined,
): Problem[] {
  const problems = pages
    .slice(0, MAX_NAMED)
    .map((page, index) => pageProblem(pathname, page, index === 0 ? detail : undefined))
  const others = pages.slice(MAX_NAMED)
  const more = others.length + further
  if (more === 0) return problems
  const count = fileProblem(
    'page-checksum',
    pathname,
    (name) => `checksum verification failed in file "${name}", ${more} further blocks`,
    { furtherBlocks: more, ...(others.length > 0 && { blocks: others.map(({ block }) => block) }) },
  )
  return [...problems, count]
}

function pageProblem(
  pathname: Pathname,
  { block, lsn, checksums }: BadPage,
  detail: string | undefined,
): Problem {
  return fileProblem(
    'page-checksum',
    pathname,
    (name) =>
      checksums === undefined
        ? `invalid page in file "${name}", block ${block}: it looks new, but is not all zeros`
        : `checksum verification failed in file "${name}", block ${block}: ` +
          `calculated checksum ${hex(checksums.computed)} but block contains ${hex(checksums.stored)}`,
    {
      block,
      lsn: formatLsn(lsn),
      ...(checksums !== undefined && {
        pageChecksum: { calculated: hex(checksums.computed), stored: hex(checksums.stored) },
      }),
    },
    detail,
  )
}

function hex(checksum: number): string {
  return checksum.toString(16).toUpperCase()
}
