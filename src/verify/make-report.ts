import { version } from '../version.js'
import { formatLsn } from '../postgres/lsn.js'
import type { ManifestContents } from './manifest-files.js'
import type { ProblemList } from './problems.js'
import type { NotChecked, VerifiedManifest, VerifyReport } from './report.js'

/** All that a report is made of. */
export interface ReportParts {
  readonly directory: string
  readonly format: VerifyReport['format']
  readonly manifest: ManifestContents
  readonly problems: ProblemList
  readonly totals: Pick<VerifyReport, 'filesChecked' | 'bytesChecked' | 'pages' | 'walRecords' | 'walBytes'>
  readonly engines: VerifyReport['engines']
  readonly seconds: VerifyReport['seconds']
  readonly notChecked: readonly NotChecked[]
  /** Whether only a part of the backup was seen. */
  readonly isPartial: boolean
}

/** Puts the report together. */
export function makeReport(parts: ReportParts): VerifyReport {
  return {
    reportVersion: 1,
    pbmanifestVersion: version,
    directory: parts.directory,
    format: parts.format,
    verdict: decideVerdict(parts),
    manifest: describeManifest(parts.manifest),
    problems: parts.problems.all,
    problemCounts: parts.problems.count(),
    ...parts.totals,
    engines: parts.engines,
    seconds: parts.seconds,
    notChecked: parts.notChecked,
  }
}

function decideVerdict({ problems, isPartial }: ReportParts): VerifyReport['verdict'] {
  if (problems.all.length > 0) return 'failed'
  return isPartial ? 'partial' : 'verified'
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
