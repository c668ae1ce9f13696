import { displayText } from '../../../src/files/display-text.js'
import { displayPathname } from '../../../src/files/pathname.js'
import { type BackupStatus, isThere, type StatusReport } from '../../../src/state/status.js'
import { formatBytes, formatCount } from '../../../src/renderings/format.js'

/** The status for people: a table, and below it what is not in it. */
export function formatStatus(report: StatusReport, isAll: boolean): string {
  const shown = isAll ? report.backups : report.backups.filter(isThere)
  const hidden = report.backups.length - shown.length
  const lines = shown.length === 0 ? ['no backups'] : formatTable(shown)
  if (hidden > 0) lines.push(`${formatCount(hidden, 'backup')} removed or replaced: see --all`)
  for (const { path, at, error } of report.failed)
    lines.push(`"${displayPathname(path)}" could not be verified at ${at}: ${displayText(error.message)}`)
  return lines.join('\n')
}

const columns = ['verdict', 'last good', 'all read', 'size', 'growth', 'backup'] as const

function formatTable(backups: readonly BackupStatus[]): string[] {
  const now = Date.now()
  const rows = [columns, ...backups.map((backup) => cellsOf(backup, now))]
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows.map((row) =>
    row
      .map((cell, column) => (column === columns.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  '),
  )
}

function cellsOf(backup: BackupStatus, now: number): string[] {
  const { lastRun, presence, growthBytes, isStale } = backup
  const marks = [isStale ? 'stale' : '', presence === 'present' ? '' : presence].filter((mark) => mark !== '')
  return [
    lastRun.verdict,
    formatAge(backup.lastGoodAt, now),
    formatAge(backup.allReadSince, now),
    formatBytes(backup.bytes),
    growthBytes === null ? '-' : `${growthBytes < 0 ? '-' : '+'}${formatBytes(Math.abs(growthBytes))}`,
    `${displayPathname(backup.path)}${marks.length === 0 ? '' : ` (${marks.join(', ')})`}`,
  ]
}

/** `5 min ago`, `36 h ago`, `12 d ago`. */
function formatAge(time: string | null, now: number): string {
  if (time === null) return 'never'
  const minutes = Math.max(0, Math.floor((now - Date.parse(time)) / 60_000))
  if (minutes < 120) return `${minutes} min ago`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ago` : `${Math.floor(hours / 24)} d ago`
}
