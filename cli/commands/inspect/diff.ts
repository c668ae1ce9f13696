import { escapePathname } from '../../../src/files/pathname.js'
import { throwIfAborted, Yielder } from '../../../src/files/yielder.js'
import type { DiffedManifest, FileDifference, ManifestDiff } from '../../../src/inspect/diff-manifests.js'
import { formatLsn } from '../../../src/postgres/lsn.js'
import { type ExitStatus, exitStatus } from '../../exit-status.js'
import { formatBytes, formatCount } from '../../../src/renderings/format.js'
import { textOrJson } from '../../shared-options.js'
import { usageError } from '../../usage-error.js'
import { type Command, type CommandContext, defineCommand } from '../command.js'

const options = {
  'Output:': {
    quiet: {
      alias: 'q',
      type: 'boolean',
      describe: 'print nothing but errors and warnings',
    },
    output: textOrJson,
  },
} as const

export const diffCommand: Command = defineCommand({
  name: 'diff',
  summary: 'tell which files differ between two manifests',
  synopsis: '[OPTION]... OLD NEW',
  operands: 'path',
  options,
  examples: [
    ['/backups/monday /backups/tuesday', 'two backups; status 0: the same, 1: they differ'],
    ['backup_manifest BACKUP', 'a manifest that was kept elsewhere, and one in a directory'],
  ],
  run: async (context, values, operands) => {
    const [old, next, more] = operands
    if (old === undefined || next === undefined)
      throw usageError('must specify two manifests or backup directories')
    if (more !== undefined) throw usageError(`too many command-line arguments (first is "${more}")`)
    const { diffManifests } = await import('../../../src/inspect/diff-manifests.js')
    const diff = await diffManifests(old, next, { signal: context.signal })
    if (diff.isSameCluster === false) {
      context.messages.warning(
        `the manifests are of two clusters: system identifier ${diff.old.systemIdentifier} and ${diff.new.systemIdentifier}`,
      )
    }
    if (values.output === 'json') {
      const { formatDiffAsJson } = await import('../../../src/inspect/format-as-json.js')
      context.printJson(formatDiffAsJson(diff))
      throwIfAborted(context.signal)
    } else if (values.quiet !== true) {
      await printDiff(context, diff)
    }
    return statusOf(diff)
  },
})

function statusOf({ verdict }: ManifestDiff): ExitStatus {
  switch (verdict) {
    case 'same':
      return exitStatus.done
    case 'different':
      return exitStatus.problems
    case 'not-compared':
      return exitStatus.partial
    default:
      return verdict satisfies never
  }
}

/** So many lines are written at once. */
const BATCH = 500

async function printDiff({ print, messages, signal }: CommandContext, diff: ManifestDiff): Promise<void> {
  const yielder = new Yielder(signal)
  let lines = listFrameDifferences(diff)
  for (const difference of diff.differences) {
    lines.push(formatDifference(difference))
    if (lines.length < BATCH) continue
    print(lines.join('\n'))
    lines = []
    if (yielder.isDue) await yielder.yield()
  }
  if (lines.length > 0) print(lines.join('\n'))
  messages.note(formatTotals(diff))
}

/** What kind, size before, size after, name: by tabs, which no name has here. */
function formatDifference({ kind, pathname, oldSize, newSize }: FileDifference): string {
  return [kind, oldSize ?? '-', newSize ?? '-', escapePathname(pathname)].join('\t')
}

/** Lines of the same form; no file is named so. */
function listFrameDifferences({ old, new: next }: ManifestDiff): string[] {
  const parts = [
    ['version', String(old.version), String(next.version)],
    ['system-identifier', String(old.systemIdentifier ?? '-'), String(next.systemIdentifier ?? '-')],
    ['wal-ranges', formatRanges(old), formatRanges(next)],
  ] as const
  return parts.filter(([, before, after]) => before !== after).map((part) => part.join('\t'))
}

function formatRanges({ walRanges }: DiffedManifest): string {
  const ranges = walRanges.map(
    ({ timeline, startLsn, endLsn }) => `${timeline},${formatLsn(startLsn)},${formatLsn(endLsn)}`,
  )
  return ranges.join(' ') || '-'
}

/** `2 added (16.0 kB), 1 removed (3 bytes), 960 the same`. */
function formatTotals({ counts, sameFiles, new: next, old }: ManifestDiff): string {
  const parts = (Object.keys(counts) as (keyof typeof counts)[])
    .filter((kind) => counts[kind].files > 0)
    .map((kind) => `${counts[kind].files} ${kind.replace('-', ' ')} (${formatBytes(counts[kind].bytes)})`)
  const growth = next.bytes - old.bytes
  const sizes =
    growth === 0 ? '' : `; ${formatBytes(Math.abs(growth))} ${growth > 0 ? 'more' : 'less'} in all`
  return `${[...parts, `${formatCount(sameFiles, 'file')} the same`].join(', ')}${sizes}`
}
