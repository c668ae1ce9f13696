import { resolve } from 'node:path'
import type { RunFacts } from '../run-facts.js'
import { formatLsn } from '../postgres/lsn.js'
import type { BackupFacts } from './backup-facts.js'
import type { ManifestContents } from './manifest-files.js'
import type { VerifyOptions } from './options.js'
import type { ReportedOptions } from './reported-options.js'
import type { ProblemList } from './problems.js'
import type { NotChecked, Problem, VerifiedManifest, VerifyReport, Warning } from './report.js'
import type { RealChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'

/** All that a report is made of. */
interface ReportParts extends Pick<VerifyReport, 'directory' | 'path' | 'format'> {
  readonly run: RunFacts
  readonly options: VerifyOptions
  readonly jobs: number
  /** Of an archive that came in alone: which one it was said to be. */
  readonly archive: string | undefined
  readonly fetchCommand: string | undefined
  readonly backup: BackupFacts
  readonly manifest: ManifestContents
  /** `undefined`: none was demanded. */
  readonly signature?: VerifyReport['signature'] | undefined
  readonly problems: ProblemList
  readonly totals: Pick<VerifyReport, 'filesChecked' | 'bytesChecked' | 'pages' | 'walRecords' | 'walBytes'>
  readonly engines: VerifyReport['engines']
  readonly seconds: VerifyReport['seconds']
  readonly notChecked: readonly NotChecked[]
  readonly warnings: readonly Warning[]
  /** Whether only a part of the backup was seen. */
  readonly isPartial: boolean
  readonly sample?: VerifyReport['sample'] | undefined
  /** What was asked of whoever keeps the report. */
  readonly asked?: Pick<ReportedOptions, 'maxAgeSeconds' | 'subset' | 'checksums'> | undefined
}

const lists = new WeakMap<VerifyReport, Iterable<Problem>>()

/** What a report says beside its verdict and its problems, in three parts: in the JSON document those stand between them. */
interface ReportSections {
  readonly run: RunFacts & Pick<VerifyReport, 'directory' | 'path' | 'format'>
  readonly subject: Pick<VerifyReport, 'options' | 'backup' | 'manifest' | 'signature'>
  readonly findings: Omit<
    VerifyReport,
    | 'reportVersion'
    | 'verdict'
    | 'problems'
    | 'problemCounts'
    | keyof ReportSections['run']
    | keyof ReportSections['subject']
  >
}

/** Puts the report together. Its array of problems is made only for those who ask for it: there may be millions. */
export function makeReport(parts: ReportParts): VerifyReport {
  const {
    directory,
    path,
    format,
    backup,
    signature,
    warnings,
    totals,
    sample,
    engines,
    seconds,
    notChecked,
  } = parts
  const sections: ReportSections = {
    run: { ...parts.run, directory, path, format },
    subject: {
      options: describeOptions(parts),
      backup,
      manifest: describeManifest(parts.manifest),
      ...(signature !== undefined && { signature }),
    },
    findings: {
      warnings,
      checksumsFrom: whereFrom(parts),
      ...totals,
      ...(sample !== undefined && { sample }),
      engines,
      seconds,
      notChecked,
    },
  }
  return reportOfProblems(sections, parts.problems, parts.isPartial)
}

/**
 * The report whose problems these are.
 *
 * @param isPartial - whether only a part of the backup was seen
 */
export function reportOfProblems(
  { run, subject, findings }: ReportSections,
  list: ProblemList,
  isPartial: boolean,
): VerifyReport {
  let problems: readonly Problem[] | undefined
  const report: VerifyReport = {
    reportVersion: 2,
    ...run,
    verdict: decideVerdict(list, isPartial, findings.sample),
    ...subject,
    get problems() {
      return (problems ??= [...list])
    },
    problemCounts: list.count(),
    ...findings,
  }
  lists.set(report, list)
  return report
}

/** The problems of a report one by one, without its array. */
export function problemsOf(report: VerifyReport): Iterable<Problem> {
  return lists.get(report) ?? report.problems
}

/** The same report with another list of what was not checked. */
export function withNotChecked(report: VerifyReport, notChecked: readonly NotChecked[]): VerifyReport {
  const changed = Object.defineProperties(
    {},
    { ...Object.getOwnPropertyDescriptors(report), notChecked: { value: notChecked, enumerable: true } },
  ) as VerifyReport
  lists.set(changed, problemsOf(report))
  return changed
}

function decideVerdict(
  problems: ProblemList,
  isPartial: boolean,
  sample: VerifyReport['sample'],
): VerifyReport['verdict'] {
  if (!problems.isEmpty) return 'failed'
  if (isPartial) return 'partial'
  const { rested, left, stored } = sample ?? {}
  const unread = (rested?.files ?? 0) + (left?.files ?? 0) + (stored?.files ?? 0)
  return unread > 0 ? 'sampled' : 'verified'
}

function whereFrom({ options, sample }: ReportParts): VerifyReport['checksumsFrom'] {
  const { skipChecksums, knownChecksums } = options
  if (skipChecksums === true) return 'none'
  if (sample?.stored !== undefined) return 'store'
  return knownChecksums === undefined ? 'files' : 'copying'
}

function describeOptions({ options, jobs, archive, fetchCommand, asked }: ReportParts): ReportedOptions {
  const { manifestPath, walDirectory, allowedSigners, signerIdentity, signaturePath } = options
  return {
    jobs,
    ignore: options.ignore ?? [],
    exitOnError: options.exitOnError ?? false,
    skipChecksums: options.skipChecksums ?? false,
    pageChecksums: options.pageChecksums ?? 'auto',
    noParseWal: options.noParseWal ?? false,
    partialWal: options.partialWal ?? false,
    ...(options.maxRate !== undefined && { maxRate: options.maxRate }),
    ...asked,
    ...(manifestPath !== undefined && { manifestPath: resolve(manifestPath) }),
    ...(walDirectory !== undefined && { walDirectory: resolve(walDirectory) }),
    ...(allowedSigners !== undefined && { allowedSigners: resolve(allowedSigners) }),
    ...(signerIdentity !== undefined && { signerIdentity }),
    ...(signaturePath !== undefined && { signaturePath: resolve(signaturePath) }),
    ...(archive !== undefined && { archive }),
    ...(fetchCommand !== undefined && { fetchCommand }),
  }
}

function describeManifest({ path, summary, table, bytes, walRanges }: ManifestContents): VerifiedManifest {
  return {
    path,
    version: summary.version,
    systemIdentifier: summary.systemIdentifier?.toString() ?? null,
    files: table.rows,
    bytes,
    walRanges: walRanges.map(({ timeline, startLsn, endLsn }) => ({
      timeline,
      startLsn: formatLsn(startLsn),
      endLsn: formatLsn(endLsn),
    })),
    checksum: summary.checksum,
  }
}

/** What computed checksums of an algorithm: the name of a package, or `node:crypto`. */
export interface EngineUse {
  readonly algorithm: RealChecksumAlgorithm
  readonly engine: string
}

/** What computed checksums, by algorithm, as the report says it. */
export function nameEngines(uses: readonly EngineUse[]): VerifyReport['engines'] {
  const names = new Map<RealChecksumAlgorithm, Set<string>>()
  for (const { algorithm, engine } of uses) {
    names.set(algorithm, (names.get(algorithm) ?? new Set()).add(engine))
  }
  return Object.fromEntries([...names].map(([algorithm, set]) => [algorithm, [...set].toSorted().join(', ')]))
}
