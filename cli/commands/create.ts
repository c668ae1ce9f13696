import { resolve } from 'node:path'
import { displayPathname, type Pathname } from '../../src/files/pathname.js'
import type { CreateManifestOptions, CreateManifestResult } from '../../src/create/create-manifest.js'
import type { EndFoundBy } from '../../src/create/find-positions.js'
import { formatLsn } from '../../src/postgres/lsn.js'
import { version } from '../../src/version.js'
import { exitStatus } from '../exit-status.js'
import { formatBytes, formatCount } from '../../src/renderings/format.js'
import { formatAsJson } from '../../src/schemas/validator.js'
import { readOnlyOperand } from '../operands.js'
import { readCount, readManifestChecksums, readOptional } from '../option-values.js'
import { formatShare, ProgressReporter } from '../progress-reporter.js'
import { manifestChecksums } from '../shared-options.js'
import { requireQuietOrProgress, usageError } from '../usage-error.js'
import { positionOptions, readWalRangeOptions } from '../wal-range-options.js'
import { withoutUndefined } from '../without-undefined.js'
import { type Command, type CommandContext, defineCommand, type OptionValues } from './command.js'

const options = {
  'What the directory is:': {
    snapshot: {
      type: 'boolean',
      describe: 'a running cluster as it was at one moment, by a snapshot of its file system',
    },
  },
  'WAL ranges of the manifest:': {
    'wal-path': {
      alias: ['w', 'wal-directory'],
      type: 'string',
      value: 'PATH',
      kind: 'file',
      describe: 'directory or archive with the WAL (default: pg_wal in DIRECTORY)',
    },
    ...positionOptions,
    'wal-range': {
      type: 'string',
      array: true,
      value: 'TLI,START,END',
      kind: 'text',
      describe: 'a range outright; no other option for them then',
    },
    'history-dir': {
      type: 'string',
      value: 'DIRECTORY',
      kind: 'directory',
      describe: 'directory of timeline history files (default: where the WAL is)',
    },
  },
  'Output:': {
    output: {
      alias: 'o',
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'manifest to write (default: backup_manifest in DIRECTORY)',
    },
    force: { alias: 'f', type: 'boolean', describe: 'replace a manifest that is there' },
    'manifest-checksums': manifestChecksums,
    jobs: {
      alias: 'j',
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'threads that read files (default: one for each processor)',
    },
    json: { type: 'boolean', describe: 'result as one JSON document on standard output' },
    progress: { alias: 'P', type: 'boolean', describe: 'show progress' },
    quiet: { alias: 'q', type: 'boolean', describe: 'print nothing but errors and warnings' },
  },
} as const

type Values = OptionValues<typeof options>

function readOptions(values: Values, operands: readonly string[]): CreateManifestOptions {
  const directory = readOnlyOperand(operands, 'directory')
  requireQuietOrProgress(values)
  if (values['end-timeline'] !== undefined && values['end-lsn'] === undefined) {
    throw usageError('--end-timeline is for use with --end-lsn')
  }
  return {
    directory,
    ...withoutUndefined({
      output: values.output,
      overwrite: values.force,
      isSnapshot: values.snapshot,
      walPath: values['wal-path'],
      ...readWalRangeOptions(values),
      checksumAlgorithm: readManifestChecksums(values['manifest-checksums']),
      jobs: readOptional(readCount, '-j/--jobs', values.jobs),
    } satisfies { [Name in keyof CreateManifestOptions]?: CreateManifestOptions[Name] | undefined }),
  }
}

export const createCommand: Command = defineCommand({
  name: 'create',
  summary: 'make a backup_manifest for a directory that has none: a copy, a snapshot, a stopped cluster',
  synopsis: '[OPTION]... DIRECTORY',
  operands: 'directory',
  options,
  examples: [
    ['-w /archive COPY', 'a copy made between pg_backup_start and pg_backup_stop'],
    ['--end-lsn=0/3000120 COPY', 'the same, and pg_backup_stop has returned this LSN'],
    ['--snapshot /mnt/snapshot -o manifest', 'a snapshot of the file system'],
  ],
  run: async (context, values, operands) => {
    const options = readOptions(values, operands)
    const { messages, signal } = context
    const progress =
      values.progress === true
        ? new ProgressReporter(messages, undefined, (state) => `${formatShare(state)} read`)
        : undefined
    const { createManifest } = await import('../../src/create/create-manifest.js')
    const result = await createManifest({
      ...options,
      signal,
      ...(progress && { onProgress: (state) => progress.report(state) }),
    })
    progress?.finish()
    const isJson = values.json === true
    printResult(context, result, isJson || values.quiet === true)
    if (isJson) {
      context.printJson(formatAsJson('create-report', describeResult(result)))
    }
    return exitStatus.done
  },
})

/** As `schemas/create-report.schema.json` says. */
function describeResult(result: CreateManifestResult): object {
  const { output, files, bytes, walRanges, endFoundBy, unusualFiles, specialFiles, warnings } = result
  return {
    reportVersion: 1,
    pbmanifestVersion: version,
    manifest: resolve(output),
    files,
    bytes,
    walRanges: walRanges.map(({ timeline, startLsn, endLsn }) => ({
      timeline,
      startLsn: formatLsn(startLsn),
      endLsn: formatLsn(endLsn),
    })),
    endFoundBy,
    unusualFiles: unusualFiles.map(displayPathname),
    specialFiles: specialFiles.map(displayPathname),
    warnings,
  }
}

function printResult(
  { print, messages }: CommandContext,
  result: CreateManifestResult,
  isQuiet: boolean,
): void {
  for (const pathname of result.specialFiles) {
    messages.warning(`"${displayPathname(pathname)}" is not a regular file or directory and was passed over`)
  }
  for (const warning of result.warnings) messages.warning(warning)
  if (isQuiet) return
  if (result.unusualFiles.length > 0) messages.note(describeUnusual(result.unusualFiles))
  const what = `${formatCount(result.files, 'file')}, ${formatBytes(result.bytes)}`
  const ranges = result.walRanges.map(
    ({ timeline, startLsn, endLsn }) =>
      `${formatLsn(startLsn)} to ${formatLsn(endLsn)} on timeline ${timeline}`,
  )
  print(`created "${displayPathname(result.output)}": ${what}`)
  print(`WAL needed: ${ranges.join(', ')} (end: ${wordsOfEnd[result.endFoundBy]})`)
}

const wordsOfEnd: Readonly<Record<EndFoundBy, string>> = {
  stated: 'as stated',
  'history-file': 'by the backup history file',
  'backup-end-record': 'by the record of its end in the WAL',
  'minimum-recovery-point': 'by the minimum recovery point in pg_control',
  'shutdown-checkpoint': 'by the checkpoint of the shutdown',
  'end-of-wal': 'the last record in the WAL',
}

/** How many files are named. */
const MAX_NAMED = 3

function describeUnusual(pathnames: readonly Pathname[]): string {
  const named = pathnames.slice(0, MAX_NAMED).map((pathname) => `"${displayPathname(pathname)}"`)
  const more = pathnames.length > MAX_NAMED ? ', ...' : ''
  return `listed ${formatCount(pathnames.length, 'file')} that no base backup has, too (${named.join(', ')}${more})`
}
