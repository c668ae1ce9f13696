import { type NotChecked, problemKinds, type VerifyReport } from '../verify/report.js'
import { formatBytes, formatCount, formatSeconds } from './format.js'

const notCheckedNames: Readonly<Record<NotChecked['what'], string>> = {
  'file-checksums': 'file checksums',
  'files-without-checksum': 'files without a checksum',
  'ignored-paths': 'ignored paths',
  'unseen-files': 'files that were not seen',
  'needed-directories': 'directories that a server needs',
  'empty-directories': 'empty directories',
  'files-written-later': 'postgresql.auto.conf and signal files',
  'other-wal-files': 'other files in pg_wal',
  'other-manifest': 'the manifest in the backup',
  'reading-again': 'the files read again',
  'unchanged-files': 'files unchanged since they were read',
  'files-left-for-later': 'files left to later runs',
  'stored-bytes': 'the bytes in the store',
  'control-file': 'pg_control',
  'backup-label': 'backup_label',
  wal: 'WAL',
  'wal-records': 'WAL records',
  'page-checksums': 'page checksums',
  'incremental-files': 'layout of incremental files',
  'earlier-backups': 'the backups it builds on',
  'after-first-problem': 'anything after the first problem',
}

/**
 * What was done, in one line: `969 of 970 files, 24.1 MB checked in 0.21 s; not checked: WAL records`. A file counts
 * when its checksum was compared.
 */
export function formatSummary(report: VerifyReport): string {
  const { filesChecked, manifest } = report
  const all = formatCount(manifest.files, 'file')
  const files = filesChecked === manifest.files ? all : `${filesChecked} of ${all}`
  const pages = report.pages.checked === 0 ? '' : `, ${formatCount(report.pages.checked, 'page')}`
  const seconds = formatSeconds(report.seconds.total)
  const how = report.checksumsFrom === 'copying' ? ' by checksums computed while copying' : ''
  const done = `${files}, ${formatBytes(report.bytesChecked)}${pages} checked in ${seconds}${how}${describeStored(report)}`
  const signed = report.signature ? `; manifest signed by "${report.signature.signer}"` : ''
  const notChecked = new Set(report.notChecked.map(({ what }) => notCheckedNames[what]))
  const left = notChecked.size === 0 ? '' : `; not checked: ${[...notChecked].join(', ')}`
  return `${done}${signed}${left}`
}

function describeStored({ sample }: VerifyReport): string {
  if (sample?.stored === undefined) return ''
  const { files, bytes } = sample.stored
  return `; checked by the store: ${files === 0 ? 'none' : `${formatCount(files, 'file')}, ${formatBytes(bytes)}`}`
}

/** Which files were not read: `960 are unchanged since they were found good, the first at 2026-11-26T01:00:03.412Z`. */
export function formatSample({ sample }: VerifyReport): string {
  const { rested, left, stored } = sample ?? { rested: { files: 0, readSince: null }, left: { files: 0 } }
  const { files: storedFiles = 0, oldest = null } = stored ?? {}
  return [
    ...(storedFiles > 0
      ? [
          `${storedFiles} have the checksum that the store took when they were written${oldest === null ? '' : `, the first at ${oldest}`}`,
        ]
      : []),
    ...(rested.files > 0
      ? [`${rested.files} are unchanged since they were found good, the first at ${rested.readSince}`]
      : []),
    ...(left.files > 0 ? [`${left.files} were never read yet`] : []),
  ].join('; ')
}

/** The problems counted by kind, most frequent first: `3 problems (2 missing, 1 extra)`. */
export function formatProblemCounts(counts: VerifyReport['problemCounts']): string {
  const found = problemKinds.filter((kind) => counts[kind] > 0)
  const total = found.reduce((sum, kind) => sum + counts[kind], 0)
  const byFrequency = found.toSorted((a, b) => counts[b] - counts[a])
  return `${formatCount(total, 'problem')} (${byFrequency.map((kind) => `${counts[kind]} ${kind}`).join(', ')})`
}

/** So many pages, of so many that were checked, are no damage: then all files are of another kind than they are taken for. */
const MANY_PAGES = 100
const NEARLY_ALL = 0.9

/** What to do about a verdict of which the cause is likely. Whole sentences. */
export function listHints({
  verdict,
  directory,
  filesChecked,
  pages,
  problemCounts,
}: VerifyReport): string[] {
  const hints: string[] = []
  if (pages.mismatched >= MANY_PAGES && pages.mismatched >= NEARLY_ALL * pages.checked) {
    hints.push(
      'Nearly no page has its checksum: if the cluster is encrypted, or has another page layout, use --page-checksums=off.',
    )
  }
  if (problemCounts['wal-missing'] > 0) {
    hints.push('Use -w, --wal-path where the WAL is elsewhere, or -n, --no-parse-wal to do without.')
  }
  if (problemCounts['signature-missing'] > 0) {
    hints.push('Use --signature where the signature is elsewhere; pbmanifest sign makes one.')
  }
  if (problemCounts['missing-directory'] > 0) {
    hints.push('A directory that is empty in the backup may be made again (mkdir -m 700).')
  }
  if (verdict === 'partial' && directory === '-' && filesChecked > 0) {
    hints.push('Say with --archive that this archive is all that is to be verified.')
  }
  return hints
}
