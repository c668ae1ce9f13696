import { displayPathname, escapePathname } from '../../../src/files/pathname.js'
import type { FileCount, ManifestOverview } from '../../../src/inspect/summarize-manifest.js'
import { formatLsn } from '../../../src/postgres/lsn.js'
import { exitStatus } from '../../exit-status.js'
import { formatBytes, formatCount } from '../../../src/renderings/format.js'
import { readOnlyOperand } from '../../operands.js'
import { invalidValue } from '../../option-values.js'
import { textOrJson } from '../../shared-options.js'
import { type Command, defineCommand } from '../command.js'

const MAX_LARGEST = 10_000

const options = {
  'Output:': {
    largest: {
      type: 'string',
      default: '10',
      value: 'N',
      kind: 'number',
      describe: 'how many of the largest files are named',
    },
    output: textOrJson,
  },
} as const

function readLargest(text: string): number {
  if (/^[0-9]{1,5}$/.test(text) && Number(text) <= MAX_LARGEST) return Number(text)
  throw invalidValue('--largest', text, `a whole number from 0 to ${MAX_LARGEST}`)
}

export const showCommand: Command = defineCommand({
  name: 'show',
  summary: 'tell what a manifest says: cluster, WAL, and files by tablespace, database and fork',
  synopsis: '[OPTION]... MANIFEST|DIRECTORY',
  operands: 'path',
  options,
  examples: [
    ['BACKUP', 'of the backup_manifest in a directory'],
    ['--output=json MANIFEST', 'for programs'],
  ],
  run: async ({ print, printJson, signal }, values, operands) => {
    const path = readOnlyOperand(operands, 'manifest or backup directory')
    const largest = readLargest(values.largest)
    const { summarizeManifest } = await import('../../../src/inspect/summarize-manifest.js')
    const overview = await summarizeManifest(path, { largest, signal })
    if (values.output === 'json') {
      const { formatOverviewAsJson } = await import('../../../src/inspect/format-as-json.js')
      printJson(formatOverviewAsJson(overview))
    } else {
      print(formatOverview(overview))
    }
    return exitStatus.done
  },
})

function formatOverview(overview: ManifestOverview): string {
  const { tablespaces, databases, forks, notOfRelations, largestFiles, majorVersion } = overview
  const ofPostgres = majorVersion === undefined ? '' : `, of PostgreSQL ${majorVersion}`
  const facts = [
    ['manifest', `"${displayPathname(overview.path)}"`],
    ['version', `${overview.version}${ofPostgres}`],
    ['system identifier', String(overview.systemIdentifier ?? 'not in a manifest of version 1')],
    ...overview.walRanges.map(({ timeline, startLsn, endLsn }) => [
      'WAL',
      `timeline ${timeline} from ${formatLsn(startLsn)} to ${formatLsn(endLsn)}`,
    ]),
    ['files', formatFileCount(overview)],
    ...(overview.incrementalFiles.files > 0
      ? [['incremental', formatFileCount(overview.incrementalFiles)]]
      : []),
    ['checksums', overview.checksumAlgorithms.map(formatAlgorithm).join(', ') || 'none'],
    ['modified', formatTimes(overview)],
  ]
  const counted: readonly (readonly [string, readonly CountedRow[]])[] = [
    ['tablespace', tablespaces.map((count) => [count.tablespace, count])],
    ['database', databases.map((count) => [String(count.databaseOid), count])],
    ['fork', [...forks.map((count): CountedRow => [count.fork, count]), ['no relation', notOfRelations]]],
  ]
  const parts = [
    formatFacts(facts),
    ...counted.flatMap(([name, rows]) => (rows.length === 0 ? [] : formatCounts(name, rows))),
  ]
  if (largestFiles.length > 0) {
    const width = Math.max(...largestFiles.map(({ size }) => String(size).length))
    const lines = largestFiles.map(
      ({ size, pathname }) => `  ${String(size).padStart(width)}  ${escapePathname(pathname)}`,
    )
    parts.push(['largest files, in bytes', ...lines].join('\n'))
  }
  return parts.join('\n\n')
}

type CountedRow = readonly [name: string, count: FileCount]

function formatFileCount({ files, bytes }: FileCount): string {
  return `${formatCount(files, 'file')}, ${formatBytes(bytes)}`
}

function formatAlgorithm({ algorithm, files }: ManifestOverview['checksumAlgorithms'][number]): string {
  return `${algorithm} (${formatCount(files, 'file')})`
}

function formatTimes({ oldestModification: oldest, newestModification: newest }: ManifestOverview): string {
  if (oldest === undefined || newest === undefined) return 'not said'
  return oldest === newest ? oldest : `${oldest} to ${newest}`
}

function formatFacts(facts: readonly (readonly string[])[]): string {
  const width = Math.max(...facts.map(([name = '']) => name.length))
  return facts.map(([name = '', value = '']) => `${name.padEnd(width)}  ${value}`).join('\n')
}

function formatCounts(name: string, rows: readonly CountedRow[]): string {
  const table = [
    [name, 'files', 'size'],
    ...rows.map(([what, { files, bytes }]) => [what, String(files), formatBytes(bytes)]),
  ]
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((cells) => (cells[column] ?? '').length)))
  return table
    .map(([what = '', files = '', size = '']) =>
      [what.padEnd(widths[0] ?? 0), files.padStart(widths[1] ?? 0), size.padStart(widths[2] ?? 0)].join('  '),
    )
    .join('\n')
}
