import { PbManifestError } from '../errors.js'
import type { RunFacts } from '../run-facts.js'
import { Yielder } from '../files/yielder.js'
import { nameEngines, reportOfProblems } from '../verify/make-report.js'
import { ProblemList } from '../verify/problems.js'
import {
  type NotChecked,
  type Problem,
  type VerifyReport,
  type VerifyStep,
  verifySteps,
  type Warning,
} from '../verify/report.js'
import { type ProblemPlace, problemPhases } from '../verify/share.js'
import { requireWholeSet } from './fragment-set.js'
import { problemsIn, type ReportFragment, warningsIn } from './read-report-fragment.js'
import type { PlacedProblem } from './report-fragment.js'

/** How to merge report fragments. */
export interface MergeReportsOptions {
  /** How many shards there were. Default: as many as the fragments say. */
  readonly shards?: number
  /** A fragment of a shard whose verification began longer ago is of an earlier time. Default: none is too old. */
  readonly maxAgeSeconds?: number
  /** Is told each problem of the merged report, in its order. */
  readonly onProblem?: (problem: Problem) => void
  /** Stops the merge; the promise then rejects with code `ABORTED`. */
  readonly signal?: AbortSignal
}

/**
 * Makes of the report fragments of all shards of a backup the report that the verification of the whole backup would have had,
 * but for when, where and by how many threads it was made.
 *
 * @param fragments - paths, in any order
 * @returns the report, also of a backup that has problems: look at `verdict`
 * @throws {@link PbManifestError} `BAD_FRAGMENT` for damaged fragments; `CANNOT_MERGE` for those that are cut, foreign, doubled or
 * missing: one error names them all; `IO` or `ABORTED`
 */
export async function mergeReports(
  fragments: readonly string[],
  options: MergeReportsOptions = {},
): Promise<VerifyReport> {
  const yielder = new Yielder(options.signal)
  const whole = await requireWholeSet(fragments, options, yielder)
  const problems = new ProblemList(options.onProblem, false)
  const archives = unionOfArchives(whole)
  for (const { problem, condition } of inOrder(whole)) {
    if (yielder.isDue) await yielder.yield()
    const { path } = problem
    const isConditional = condition !== undefined && path !== undefined
    if (isConditional && problems.concern(path)) continue
    if (condition === 'unless-in-archive' && (archives.hasUnread || archives.directories.has(path ?? '')))
      continue
    problems.add(problem)
  }
  return reportOf(whole, problems, archives.hasUnread)
}

/** What the archives of all shards together have. */
function unionOfArchives(fragments: readonly ReportFragment[]): {
  readonly hasUnread: boolean
  readonly directories: ReadonlySet<string>
} {
  const archives = fragments.flatMap(({ findings }) => findings.archives ?? [])
  return {
    hasUnread: archives.some(({ hasUnread }) => hasUnread),
    directories: new Set(archives.flatMap(({ directories }) => directories)),
  }
}

/** The problems of all fragments, in the order of their places; of those with the same place, the first shard's first. */
function* inOrder(fragments: readonly ReportFragment[]): Generator<PlacedProblem, void, undefined> {
  const heads: { readonly rest: Generator<PlacedProblem>; next: PlacedProblem }[] = []
  for (const fragment of fragments) {
    const rest = problemsIn(fragment)
    const { value } = rest.next()
    if (value !== undefined) heads.push({ rest, next: value })
  }
  while (heads.length > 0) {
    let [first] = heads
    for (const head of heads) {
      if (first === undefined || comparePlaces(head.next, first.next) < 0) first = head
    }
    if (first === undefined) return
    yield first.next
    const { value } = first.rest.next()
    if (value === undefined) heads.splice(heads.indexOf(first), 1)
    else first.next = value
  }
}

function comparePlaces(left: ProblemPlace, right: ProblemPlace): number {
  if (left.phase !== right.phase)
    return problemPhases.indexOf(left.phase) - problemPhases.indexOf(right.phase)
  for (const [index, part] of left.key.entries()) {
    const other = right.key[index]
    if (other === undefined) return 1
    if (part !== other) return part < other ? -1 : 1
  }
  return left.key.length - right.key.length
}

/** What only one shard tells is the first one's. */
function reportOf(
  fragments: readonly ReportFragment[],
  problems: ProblemList,
  hasUnread: boolean,
): VerifyReport {
  const [first] = fragments
  if (first === undefined) throw new PbManifestError('CANNOT_MERGE', 'there are no report fragments')
  const findings = fragments.map((fragment) => fragment.findings)
  const sum = (count: (part: ReportFragment['findings']) => number): number =>
    findings.reduce((total, part) => total + count(part), 0)
  const { directory, path, options, manifestPath } = first.run
  const { format, backup, manifest, signature, checksumsFrom, walRecords, walBytes } = first.findings
  const countsPages = first.findings.archives?.countsPages !== false
  const isPartial = findings.some((part) => part.isPartial)
  const { seconds, ...run } = timesOf(fragments)
  return reportOfProblems(
    {
      run: { ...run, directory, path, format },
      subject: {
        options,
        backup,
        manifest: { path: manifestPath, ...manifest },
        ...(signature !== undefined && { signature }),
      },
      findings: {
        warnings: warningsOf(first, problems, hasUnread),
        checksumsFrom,
        filesChecked: sum((part) => part.filesChecked),
        bytesChecked: sum((part) => part.bytesChecked),
        pages: {
          checked: countsPages ? sum(({ pages }) => pages.checked) : 0,
          mismatched: sum(({ pages }) => pages.mismatched),
          newer: sum(({ pages }) => pages.newer),
          replayed: sum(({ pages }) => pages.replayed),
        },
        walRecords,
        walBytes,
        engines: nameEngines(
          fragments.flatMap((fragment) =>
            Object.entries(fragment.run.engines).flatMap(([algorithm, engines]) =>
              engines.split(', ').map((engine) => ({ algorithm: algorithm as never, engine })),
            ),
          ),
        ),
        seconds,
        notChecked: notCheckedOf(fragments),
      },
    },
    problems,
    isPartial,
  )
}

/** From the beginning of the first shard to the end of the last; of each step, the time of the shard that took the longest. */
function timesOf(fragments: readonly ReportFragment[]): RunFacts & Pick<VerifyReport, 'seconds'> {
  const runs = fragments.map(({ run }) => run)
  const startedAt = runs.map((run) => run.startedAt).toSorted()[0] ?? ''
  const endedAt =
    runs
      .map((run) => run.endedAt)
      .toSorted()
      .at(-1) ?? ''
  const longest = (step: VerifyStep): number => Math.max(...runs.map(({ seconds }) => seconds[step]))
  const steps = verifySteps.map((step) => [step, longest(step)] as const)
  return {
    pbmanifestVersion: runs[0]?.pbmanifestVersion ?? '',
    host: [...new Set(runs.map(({ host }) => host))].join(', '),
    startedAt,
    endedAt,
    seconds: {
      ...(Object.fromEntries(steps) as Record<VerifyStep, number>),
      total: Math.max((Date.parse(endedAt) - Date.parse(startedAt)) / 1000, 0),
    },
  }
}

/** An archive that could not be read may have what the first shard has missed. */
function warningsOf(first: ReportFragment, problems: ProblemList, hasUnread: boolean): Warning[] {
  const isDamaged = first.findings.format === 'tar' && problems.count()['bad-archive'] > 0
  return [...warningsIn(first)].filter(({ kind }) => {
    if (kind === 'directory-of-a-setting') return !hasUnread
    return kind !== 'removed-later' || !isDamaged
  })
}

/** What the first shard says; what others say of their archives, where it would have; and what else only they know, last. */
function notCheckedOf(fragments: readonly ReportFragment[]): NotChecked[] {
  const all = [...(fragments[0]?.findings.notChecked ?? [])]
  const placed = fragments
    .flatMap(({ findings }) => findings.archives?.notChecked ?? [])
    .toSorted(({ at: left }, { at: right }) => left[0] - right[0] || left[1] - right[1])
  all.splice(fragments[0]?.findings.archives?.before ?? 0, 0, ...placed.map(({ entry }) => entry))
  for (const { findings } of fragments) {
    for (const entry of findings.notChecked) {
      const isKnown = all.some(({ what, why }) => what === entry.what && why === entry.why)
      if (!isKnown) all.push(entry)
    }
  }
  return all
}
