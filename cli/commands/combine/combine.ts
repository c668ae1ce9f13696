import type { CombineOptions } from '../../../src/combine/options.js'
import type { CombineReport, CopyMethod } from '../../../src/combine/report.js'
import { parseTablespaceMapping } from '../../../src/target/tablespace-mapping.js'
import { formatAsJson } from '../../../src/schemas/validator.js'
import { compileLate } from '../../compile-late.js'
import { type ExitStatus, exitStatus } from '../../exit-status.js'
import { readCount, readManifestChecksums, readOptional, readSyncMethod } from '../../option-values.js'
import { formatShare, ProgressReporter } from '../../progress-reporter.js'
import { manifestChecksums, syncMethod, tablespaceMapping } from '../../shared-options.js'
import { requireQuietOrProgress, usageError } from '../../usage-error.js'
import { withoutUndefined } from '../../without-undefined.js'
import { type Command, defineCommand, type OptionValues } from '../command.js'
import { printProblem } from '../verify/print-verdict.js'
import { printFile, printResult } from './combine-text.js'

const options = {
  'Where it goes:': {
    directory: {
      alias: 'o',
      type: 'string',
      kind: 'directory',
      value: 'DIRECTORY',
      describe: 'output directory, empty or missing (required)',
    },
    'tablespace-mapping': tablespaceMapping,
  },
  'How files are made:': {
    jobs: {
      alias: 'j',
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'threads that read and write (default: one for each processor)',
    },
    copy: { type: 'boolean', describe: 'copy files; without it, they are cloned where that can be' },
    clone: { type: 'boolean', describe: 'clone (reflink) files instead of copying' },
    'copy-file-range': { type: 'boolean', describe: 'copy whole files by the copy_file_range() system call' },
    link: { alias: 'k', type: 'boolean', describe: 'link files instead of copying' },
    'manifest-checksums': manifestChecksums,
    'no-manifest': { type: 'boolean', describe: 'suppress generation of backup manifest' },
    'no-sync': {
      alias: 'N',
      type: 'boolean',
      describe: 'do not wait for changes to be written safely to disk',
    },
    'sync-method': syncMethod,
  },
  'What is checked:': {
    'no-verify': {
      type: 'boolean',
      describe: 'do not compare the files of the backups with their manifests',
    },
    'page-checksums': {
      choices: ['auto', 'off'],
      type: 'string',
      value: 'auto|off',
      describe: 'check the checksums of data pages (default: auto, if the cluster has them)',
    },
    'dry-run': { alias: 'n', type: 'boolean', describe: 'do not actually do anything' },
  },
  'Output:': {
    progress: { alias: 'P', type: 'boolean', describe: 'show progress' },
    quiet: { alias: 'q', type: 'boolean', describe: 'print nothing but errors and warnings' },
    verbose: {
      alias: 'd',
      type: 'boolean',
      describe: 'say of each file from which backup it comes',
    },
    output: {
      type: 'string',
      array: true,
      value: 'text|json',
      kind: 'directory',
      suggestions: ['text', 'json'],
      describe: 'result as text, or one JSON document; any other value is the output directory',
    },
  },
} as const

type Values = OptionValues<typeof options>

/** What `--output` says: pg_combinebackup means the directory by it, and all commands of ours the form of the result. */
function readOutput({ directory, output = [] }: Values): {
  readonly directory: string
  readonly isJson: boolean
} {
  const named = output.filter((text) => !isForm(text))
  const [place, ...others] = directory === undefined ? named : [directory, ...named]
  if (place === undefined) throw usageError('no output directory specified', 'Name it with -o DIRECTORY.')
  if (others.length > 0) throw usageError('more than one output directory specified')
  return { directory: place, isJson: output.findLast(isForm) === 'json' }
}

function isForm(text: string): boolean {
  return text === 'json' || text === 'text'
}

function readMethod(values: Values): CopyMethod | undefined {
  const methods = (['copy', 'clone', 'copy-file-range', 'link'] as const).filter(
    (method) => values[method] === true,
  )
  if (methods.length > 1) throw usageError(`cannot specify both --${methods[0]} and --${methods[1]}`)
  return methods[0]
}

function readOptions(values: Values): Omit<CombineOptions, 'directories' | 'output'> {
  requireQuietOrProgress(values)
  if (values['no-manifest'] === true && values['manifest-checksums'] !== undefined) {
    throw usageError('cannot specify both --no-manifest and --manifest-checksums')
  }
  return withoutUndefined({
    tablespaceMappings: values['tablespace-mapping']?.map(parseTablespaceMapping),
    dryRun: values['dry-run'],
    verify: values['no-verify'] !== true,
    pageChecksums: values['page-checksums'],
    copyMethod: readMethod(values),
    checksumAlgorithm: readManifestChecksums(values['manifest-checksums']),
    manifest: values['no-manifest'] !== true,
    sync: values['no-sync'] !== true,
    syncMethod: readSyncMethod(values['sync-method']),
    jobs: readOptional(readCount, '-j/--jobs', values.jobs),
  } satisfies { [Name in keyof CombineOptions]?: CombineOptions[Name] | undefined })
}

export const combineCommand: Command = defineCommand({
  name: 'combine',
  summary: 'put a full backup and the incremental ones after it together, verified on the way',
  synopsis: '-o DIRECTORY [OPTION]... FULL [INCREMENTAL]...',
  operands: 'directory',
  options,
  examples: [
    ['-o RESTORED FULL MONDAY TUESDAY', 'the full backup first, then each after the one it builds on'],
    ['-n -o RESTORED FULL MONDAY', 'only say whether it could be done'],
    ['-o RESTORED -T /srv/fast=/srv/new FULL MONDAY', 'with a tablespace'],
  ],
  run: async (context, values, operands) => {
    const { printJson, messages, signal } = context
    if (operands.length === 0) throw usageError('no input directories specified')
    const { directory, isJson } = readOutput(values)
    const combineOptions = readOptions(values)
    const isQuiet = values.quiet === true
    const progress =
      values.progress === true
        ? new ProgressReporter(messages, undefined, (state) => `${formatShare(state)} combined`)
        : undefined
    compileLate()
    const { combineBackups } = await import('../../../src/combine/combine-backups.js')
    const report = await combineBackups({
      ...combineOptions,
      directories: operands,
      output: directory,
      signal,
      ...(progress && { onProgress: (state) => progress.report(state) }),
      ...(values.verbose === true && {
        onFile: (file) => printFile(messages, file, combineOptions.dryRun === true),
      }),
      ...(!isJson && {
        onWarning: (warning) => {
          const about = warning.directory === undefined ? '' : `backup at "${warning.directory}": `
          messages.warning(about + warning.message)
          if (warning.hint !== undefined) messages.hint(warning.hint)
        },
        onProblem: (problem, about) => {
          // Those between backups name the backup themselves.
          printProblem(messages, problem, 'directory' in problem ? '' : `backup at "${about}": `)
        },
      }),
    })
    progress?.finish()
    if (isJson) {
      printJson(formatAsJson('combine-report', report))
    } else printResult(context, report, isQuiet)
    return exitStatusOf(report)
  },
})

function exitStatusOf({ verdict }: CombineReport): ExitStatus {
  return verdict === 'failed' ? exitStatus.problems : exitStatus.done
}
