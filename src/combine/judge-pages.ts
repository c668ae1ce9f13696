import { readSmallFile } from '../files/read-small-file.js'
import { Yielder } from '../files/yielder.js'
import type { Pathname } from '../files/pathname.js'
import type { ContentFindings } from '../verify/content/page-tally.js'
import { layoutProblems, pageProblems } from '../verify/content/content-problems.js'
import { PagesInQuestion } from '../verify/content/pages-in-question.js'
import { IgnoreRules } from '../verify/ignore-rules.js'
import type { ManifestContents } from '../verify/manifest-files.js'
import { ProblemList } from '../verify/problems.js'
import type { CheckedPages, Problem } from '../verify/report.js'
import { listWalSegments } from '../verify/wal/file-wal-source.js'
import type { FirstTouches } from '../postgres/wal/block-touches.js'
import type { ControlFile } from '../postgres/control-file.js'
import type { PageFindings } from './file-pages.js'

/** Pages of one file that are not as they should be. */
export interface BadPages {
  /** Where the file stands among all. */
  readonly place: number
  readonly pathname: Pathname
  readonly findings: PageFindings
}

/** The backup that the result becomes consistent with: its WAL may write pages anew. */
export interface LastBackup {
  readonly directory: string
  readonly manifest: ManifestContents | undefined
  readonly control: ControlFile | undefined
  readonly jobs: number
  readonly signal: AbortSignal | undefined
}

/**
 * Says of pages that are not as they should be which of them matter. Those of the last backup do not when its WAL writes them anew; without WAL,
 * their own LSN decides, as it does for the server.
 */
export async function judgePages(
  bad: readonly BadPages[],
  last: LastBackup,
  onProblem: (problem: Problem) => void,
): Promise<Omit<CheckedPages, 'checked'>> {
  const inQuestion = new PagesInQuestion()
  let certain = 0
  for (const { pathname, findings } of bad.toSorted((left, right) => left.place - right.place)) {
    if (findings.inQuestion !== undefined) inQuestion.add(pathname, findings.inQuestion)
    if (findings.certain === undefined) continue
    certain += countPages(findings.certain)
    for (const problem of problemsOf(pathname, findings.certain)) onProblem(problem)
  }
  if (!bad.some(({ findings }) => findings.inQuestion !== undefined)) {
    return { mismatched: certain, newer: 0, replayed: 0 }
  }
  const problems = new ProblemList(onProblem, false)
  const touches = await readTouches(inQuestion, last)
  const counts = inQuestion.report(touches, { problems, notChecked: [], options: {} })
  return { ...counts, mismatched: counts.mismatched + certain }
}

function countPages({ badPages, furtherNewer, furtherOlder }: ContentFindings): number {
  return badPages.length + furtherNewer + furtherOlder
}

function problemsOf(pathname: Pathname, certain: ContentFindings): Problem[] {
  const { badPages, furtherNewer, furtherOlder } = certain
  return [
    ...layoutProblems(pathname, certain),
    ...pageProblems(pathname, badPages, furtherNewer + furtherOlder, undefined),
  ]
}

/** What the WAL has of the pages; `undefined` when it is not there, or not whole, which was told before. */
async function readTouches(
  inQuestion: PagesInQuestion,
  { directory, manifest, control, jobs, signal }: LastBackup,
): Promise<FirstTouches | undefined> {
  const source = listWalSegments([`${directory}/pg_wal`], false)
  if (manifest === undefined || source.names.length === 0) return undefined
  const { checkWal } = await import('../verify/wal/check-wal.js')
  return await checkWal({
    source,
    readSmallFile: (pathname, maxBytes) => readSmallFile(`${directory}/${pathname}`, maxBytes),
    jobs,
    signal,
    manifest,
    control,
    ignore: new IgnoreRules([]),
    problems: new ProblemList(undefined, false),
    notChecked: [],
    totals: { walRecords: 0, walBytes: 0 },
    yielder: new Yielder(signal),
    wanted: inQuestion.wanted(control),
  })
}
