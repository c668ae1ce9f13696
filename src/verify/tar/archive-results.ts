import type { VerifyContext } from '../verify-context.js'
import type { ContentFindings } from '../content/page-tally.js'
import { layoutProblems } from '../content/content-problems.js'
import { PagesInQuestion } from '../content/pages-in-question.js'
import type { ContentDecision, ContentRules } from '../content/decide-content-rules.js'
import { type Archive, archivePrefixOf, pathnamePrefix } from '../../source/tar/archive.js'
import type { ArchiveFinding, ArchiveMessage, ArchiveSummary, MemberFindings } from './archive-messages.js'
import type { ArchivedSegment } from './archive-wal-source.js'
import type { EngineUse } from '../make-report.js'
import { archiveProblem, twoArchivesProblem } from './archive-problem.js'
import type { Pathname } from '../../files/pathname.js'
import { fileProblem } from '../problems.js'

/** What comes behind is not seen. */
const endsArchive: ReadonlySet<ArchiveFinding['type']> = new Set(['damaged', 'unreadable', 'not fetched'])

interface Result {
  readonly archive: Archive
  /** Where it stands in the report. */
  readonly rank: number
  readonly findings: ArchiveFinding[]
  summary: ArchiveSummary | undefined
}

/**
 * What the threads found in the archives. It is told archive by archive, in their order, whoever was faster: of the
 * first that is not done at once, of the others when those before it are.
 */
export class ArchiveResults {
  readonly totals = { filesChecked: 0, bytesChecked: 0, pagesChecked: 0 }
  readonly smallFiles: Map<Pathname, Buffer> = new Map()
  readonly walMembers: ArchivedSegment[] = []
  /** Those of the directories that a server may need which the archives have. */
  readonly directories: Set<Pathname> = new Set()
  readonly engines: EngineUse[] = []
  readonly pages: PagesInQuestion = new PagesInQuestion()
  /** Archives that could not be read to their end. */
  readonly unread: Set<Archive> = new Set()
  /** Those that did not have to be there, and are not, and what was said about that. */
  readonly absent: Map<Archive, string> = new Map()
  /** Of each row, the number of the archive that has it, from 1. */
  readonly #holders: Uint32Array
  readonly #content: (MemberFindings & { readonly rank: number })[] = []
  /** Archives with more wrong pages than are told. */
  readonly #cut: { readonly name: string; readonly rank: number }[] = []
  #pages = 0
  readonly #results: Result[] = []
  readonly #context: VerifyContext
  #told = 0
  /** How many archives stand before those that are read next. */
  #ranks = 0

  constructor(context: VerifyContext) {
    this.#context = context
    this.#holders = new Uint32Array(context.manifest.table.rows)
  }

  /**
   * Says that these are read, too.
   *
   * @param all - among which these stand in the report, behind those before
   * @returns the number of the first of them among those that are read
   */
  add(archives: readonly Archive[], all: readonly Archive[]): number {
    const first = this.#results.length
    for (const archive of archives) {
      const rank = this.#ranks + all.indexOf(archive)
      this.#results.push({ archive, rank, findings: [], summary: undefined })
    }
    this.#ranks += all.length
    return first
  }

  /** Takes what a thread sent. Throws what the list of problems throws. */
  accept(message: Exclude<ArchiveMessage, { readonly type: 'open' }>): void {
    const result = this.#results[message.task]
    if (result === undefined) throw new RangeError(`there is no archive ${message.task}`)
    if (message.type === 'finding') result.findings.push(message.finding)
    else result.summary = message.summary
    this.#tell()
  }

  /** Whether an archive has the file of this row. */
  has(row: number): boolean {
    return this.#holders[row] !== 0
  }

  /** Whether what was found in the files' content depends on what pg_control says. */
  get hasContent(): boolean {
    return this.#content.length > 0 || this.#cut.length > 0
  }

  /** The rows that its archives have. */
  *rows(): Generator<number, void, undefined> {
    for (const [row, holder] of this.#holders.entries()) if (holder !== 0) yield row
  }

  /** Counts the pages that were checked, without a look at what pg_control says. */
  countPages(): void {
    this.totals.pagesChecked = this.#pages
  }

  /** Tells what was found in the files' content, as far as it counts by these rules. */
  tellContent({ rules }: ContentDecision): void {
    const { manifest, problems, notChecked, share } = this.#context
    if (rules?.hasPageChecksums === true) this.totals.pagesChecked = this.#pages
    for (const { row, findings: all, rank } of this.#content) {
      const findings = rules && whatCounts(all, rules)
      if (findings === undefined) continue
      const pathname = manifest.table.pathname(row)
      this.pages.add(pathname, findings, { phase: 'pages', key: [rank] })
      for (const problem of layoutProblems(pathname, findings)) {
        problems.add(problem, { phase: 'content', key: [rank] })
      }
    }
    if (rules?.hasPageChecksums !== true) return
    for (const { name, rank } of this.#cut) {
      const why = `more files of archive "${name}" than are named may have wrong pages`
      const entry = { what: 'page-checksums', why } as const
      if (share === undefined) notChecked.push(entry)
      else share.archives.notChecked.push({ at: [0, rank], entry })
    }
  }

  #tell(): void {
    for (let result = this.#results[this.#told]; result !== undefined; result = this.#results[this.#told]) {
      for (const finding of result.findings.splice(0)) this.#tellFinding(result, finding)
      if (result.summary === undefined) return
      this.#told++
      this.#merge(result, result.summary)
      result.summary = undefined
    }
  }

  #tellFinding({ archive, rank }: Result, finding: ArchiveFinding): void {
    if (finding.type === 'not there') return void this.absent.set(archive, finding.message)
    if (endsArchive.has(finding.type)) this.unread.add(archive)
    const { manifest, problems } = this.#context
    problems.add(archiveProblem(archive.name, finding, manifest.table), {
      phase: 'archives',
      key: [rank],
    })
  }

  #merge({ archive, rank }: Result, summary: ArchiveSummary): void {
    const { rows, filesChecked, bytesChecked, smallFiles, walMembers, engines } = summary
    this.totals.filesChecked += filesChecked
    this.totals.bytesChecked += bytesChecked
    for (const member of walMembers) this.walMembers.push({ ...member, archive })
    for (const directory of summary.directories) this.directories.add(directory)
    this.engines.push(...engines)
    for (const [pathname, bytes] of smallFiles) this.smallFiles.set(pathname, Buffer.from(bytes))
    for (const row of rows) this.#claim(row, rank)
    this.#pages += summary.pages
    for (const findings of summary.content) this.#content.push({ ...findings, rank })
    if (summary.isContentCut) this.#cut.push({ name: archive.name, rank })
  }

  #claim(row: number, rank: number): void {
    const { manifest, problems } = this.#context
    const holder = this.#holders[row] ?? 0
    this.#holders[row] = this.#told
    if (holder === 0) return
    const names = [holder, this.#told].map((number) => this.#results[number - 1]?.archive.name ?? '')
    problems.add(twoArchivesProblem(manifest.table, row, names), { phase: 'archives', key: [rank] })
  }
}

function whatCounts(findings: ContentFindings, rules: ContentRules): ContentFindings {
  const layoutFault = rules.hasIncrementalFiles ? findings.layoutFault : undefined
  if (rules.hasPageChecksums) return { ...findings, layoutFault }
  return { badPages: [], furtherNewer: 0, furtherOlder: 0, partialPage: undefined, layoutFault }
}

/** Which files may be where nobody could look: in an archive that cannot be read to its end, or that was not given. */
export class UnseenFiles {
  readonly #byPrefix: ReadonlyMap<string, Archive>
  readonly #unread: ReadonlySet<Archive>
  readonly #isPartial: boolean

  /**
   * @param unread - those that could not be read to their end
   * @param isPartial - whether the backup has more archives than these
   */
  constructor(archives: readonly Archive[], unread: ReadonlySet<Archive>, isPartial: boolean) {
    this.#byPrefix = new Map(archives.map((archive) => [pathnamePrefix(archive.contents), archive]))
    this.#unread = unread
    this.#isPartial = isPartial
  }

  /** Why a file that was not seen may be there nevertheless; `undefined` when it would have been seen. */
  reason(pathname: Pathname): string | undefined {
    const prefix = archivePrefixOf(pathname)
    const own = this.#byPrefix.get(prefix)
    if (own === undefined && this.#isPartial) return 'in archives that were not given'
    const archive = own ?? this.#byPrefix.get('')
    return archive !== undefined && this.#unread.has(archive)
      ? `in the part of archive "${archive.name}" that could not be read`
      : undefined
  }
}

/**
 * Reports what the manifest has and no archive had, in the manifest's order.
 *
 * @param isOwn - whether the file of this row would be in one of them
 * @returns how many files may be where nobody could look
 */
export async function reportMissingFiles(
  { manifest, ignore, problems, notChecked, yielder, share }: VerifyContext,
  results: ArchiveResults,
  unseen: UnseenFiles,
  isOwn: (pathname: Pathname) => boolean = () => true,
): Promise<number> {
  const { table } = manifest
  const counts = new Map<string, { count: number; readonly first: number }>()
  for (let row = 0; row < table.rows; row++) {
    if (yielder.isDue) await yielder.yield()
    if (results.has(row)) continue
    const pathname = table.pathname(row)
    if (ignore.covers(pathname) || !isOwn(pathname)) continue
    const reason = unseen.reason(pathname)
    const counted = counts.get(reason ?? '')
    if (counted !== undefined) counted.count++
    else if (reason !== undefined) counts.set(reason, { count: 1, first: row })
    else {
      problems.add(
        fileProblem('missing', pathname, (name) => `"${name}" is present in the manifest but not on disk`, {
          size: { expected: table.size(row) },
        }),
        { phase: 'missing', key: [row] },
      )
    }
  }
  for (const [reason, { count, first }] of counts) {
    const why = `${count} ${count === 1 ? 'file' : 'files'} of the manifest may be ${reason}`
    const entry = { what: 'unseen-files', why } as const
    if (share === undefined) notChecked.push(entry)
    else share.archives.notChecked.push({ at: [1, first], entry })
  }
  return [...counts.values()].reduce((sum, { count }) => sum + count, 0)
}
