import { displayPathname } from '../../src/files/pathname.js'
import type { MergeOptions } from '../../src/manifest/merge/merge-options.js'
import { exitStatus } from '../exit-status.js'
import { formatBytes, formatCount } from '../../src/renderings/format.js'
import { readCount, readOptional, readSystemIdentifier } from '../option-values.js'
import { usageError } from '../usage-error.js'
import { positionOptions, readWalRangeOptions } from '../wal-range-options.js'
import { withoutUndefined } from '../without-undefined.js'
import { type Command, defineCommand, type OptionValues } from './command.js'

const options = {
  'Fragments:': {
    workers: {
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'how many workers there were; all must be here',
    },
    'allow-unsealed': {
      type: 'boolean',
      describe: 'take what is whole of fragments whose worker did not finish',
    },
  },
  'Header of the manifest:': {
    pgdata: {
      alias: 'D',
      type: 'string',
      value: 'DIRECTORY',
      kind: 'directory',
      describe: 'data directory, or copy of one, to learn what is not given from',
    },
    'server-version': {
      type: 'string',
      value: 'MAJOR',
      kind: 'number',
      describe: 'major version of the server, which decides what is not given',
    },
    'manifest-version': {
      choices: ['1', '2'],
      type: 'string',
      value: '1|2',
      describe: '1 for PostgreSQL 13 to 16, 2 from 17 on',
    },
    'system-identifier': {
      type: 'string',
      value: 'ID',
      kind: 'number',
      describe: 'of the cluster; stands in version 2 only',
    },
  },
  'WAL ranges of the manifest:': {
    'wal-range': {
      type: 'string',
      array: true,
      value: 'TLI,START,END',
      kind: 'text',
      describe: 'timeline and LSNs of a range; no other WAL option then',
    },
    ...positionOptions,
    'history-dir': {
      type: 'string',
      value: 'DIRECTORY',
      kind: 'directory',
      describe: 'where timeline history files are',
    },
  },
  'Output:': {
    output: {
      alias: 'o',
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'manifest to write (required)',
    },
    quiet: {
      alias: 'q',
      type: 'boolean',
      describe: 'print nothing but errors and warnings',
    },
  },
} as const

type Values = OptionValues<typeof options>

/** What the command line says, but for the fragments, which are found later. */
function readOptions(values: Values): Omit<MergeOptions, 'fragments'> {
  if (values.output === undefined) throw usageError('no output file specified')
  const manifestVersion = values['manifest-version']
  return {
    output: values.output,
    ...withoutUndefined({
      workers: readOptional(readCount, '--workers', values.workers),
      serverVersion: readOptional(readCount, '--server-version', values['server-version']),
      manifestVersion: manifestVersion === undefined ? undefined : manifestVersion === '1' ? 1 : 2,
      systemIdentifier: readOptional(
        readSystemIdentifier,
        '--system-identifier',
        values['system-identifier'],
      ),
      pgdata: values.pgdata,
      ...readWalRangeOptions(values),
      allowUnsealed: values['allow-unsealed'],
    } satisfies { [Name in keyof MergeOptions]?: MergeOptions[Name] | undefined }),
  }
}

export const mergeCommand: Command = defineCommand({
  name: 'merge',
  summary: 'make one backup_manifest of the fragments of all workers',
  synopsis: '[OPTION]... FRAGMENT...',
  operands: 'path',
  options,
  examples: [
    ['-o BACKUP/backup_manifest -D BACKUP FRAGMENTS/', 'fragments of a folder; the rest as BACKUP says'],
    ['-o backup_manifest --wal-range 1,0/2000028,0/2000100 parts/*', 'version 1, WAL range given outright'],
  ],
  run: async ({ print, messages, signal }, values, operands) => {
    if (operands.length === 0) throw usageError('no fragments specified')
    const options = readOptions(values)
    const { findFragments } = await import('../../src/manifest/merge/find-fragments.js')
    const { mergeFragments } = await import('../../src/manifest/merge/merge-fragments.js')
    const fragments = await findFragments(operands)
    const result = await mergeFragments({ ...options, fragments, signal })
    for (const warning of result.warnings) messages.warning(warning)
    if (values.quiet !== true) {
      const what = `${formatCount(result.files, 'file')}, ${formatBytes(result.bytes)}`
      print(
        `merged ${formatCount(fragments.length, 'fragment')}: ${what}, into "${displayPathname(options.output)}"`,
      )
    }
    return exitStatus.done
  },
})
