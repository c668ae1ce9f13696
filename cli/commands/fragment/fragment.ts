import { displayPathname, type Pathname } from '../../../src/files/pathname.js'
import { checksumAlgorithms } from '../../../src/manifest/checksum/checksum-algorithm.js'
import { isBackupId } from '../../../src/manifest/fragment/backup-id.js'
import type { WriteFragmentOptions } from '../../../src/manifest/fragment/write-fragment.js'
import { exitStatus } from '../../exit-status.js'
import { readFilesFrom } from './files-from.js'
import { formatBytes, formatCount } from '../../../src/renderings/format.js'
import { readOnlyOperand } from '../../operands.js'
import {
  invalidValue,
  readChecksumAlgorithm,
  readCount,
  readOptional,
  readWorkerNumber,
} from '../../option-values.js'
import { usageError } from '../../usage-error.js'
import { withoutUndefined } from '../../without-undefined.js'
import { type Command, defineCommand, type OptionValues } from '../command.js'

const options = {
  'Which part:': {
    worker: {
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'number of this worker, from 0 (required)',
    },
    workers: {
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'how many workers share DIRECTORY; this one takes its share',
    },
    'files-from': {
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'record the files that this file, or standard input (-), names',
    },
    'include-all': {
      type: 'boolean',
      describe: 'record what a base backup leaves out as well, but for pg_wal',
    },
  },
  'Output:': {
    'backup-id': {
      type: 'string',
      value: 'ID',
      kind: 'text',
      describe: 'id of the backup, see "backup-id" (required)',
    },
    output: {
      alias: 'o',
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'fragment to write (required)',
    },
    'checksum-algorithm': {
      type: 'string',
      value: 'NAME',
      kind: 'text',
      suggestions: checksumAlgorithms,
      describe: 'CRC32C (default), SHA224, SHA256, SHA384, SHA512 or NONE',
    },
    quiet: {
      alias: 'q',
      type: 'boolean',
      describe: 'print nothing but errors and warnings',
    },
  },
} as const

type Values = OptionValues<typeof options>

/** What the command line says, but for the list of files, which is read later. */
function readOptions(values: Values, operands: readonly string[]): WriteFragmentOptions {
  const directory = readOnlyOperand(operands, 'data directory')
  if (values.worker === undefined) throw usageError('no worker number specified')
  if (values['backup-id'] === undefined) throw usageError('no backup id specified')
  if (values.output === undefined) throw usageError('no output file specified')
  if (values.workers !== undefined && values['files-from'] !== undefined) {
    throw usageError('cannot specify both --workers and --files-from')
  }
  const worker = readWorkerNumber('--worker', values.worker)
  const workers = readOptional(readCount, '--workers', values.workers)
  if (workers !== undefined && worker >= workers) {
    const last = workers - 1
    throw invalidValue('--worker', values.worker, `at most ${last}, for --workers is ${workers}`)
  }
  const isOnlyWorker = workers === undefined && values['files-from'] === undefined
  if (isOnlyWorker && worker !== 0) throw usageError('must specify one of --workers and --files-from')
  return {
    directory,
    output: values.output,
    backupId: readBackupId('--backup-id', values['backup-id']),
    worker,
    ...withoutUndefined({
      workers: isOnlyWorker ? 1 : workers,
      includeAll: values['include-all'],
      checksumAlgorithm: readOptional(
        readChecksumAlgorithm,
        '--checksum-algorithm',
        values['checksum-algorithm'],
      ),
    }),
  }
}

function readBackupId(name: string, text: string): string {
  if (!isBackupId(text))
    throw invalidValue(name, text, '32 hexadecimal digits, as "pbmanifest backup-id" prints')
  return text
}

export const fragmentCommand: Command = defineCommand({
  name: 'fragment',
  summary: "write one worker's part of a manifest",
  synopsis: '[OPTION]... DIRECTORY',
  operands: 'directory',
  options,
  examples: [
    ['--worker 0 --workers 4 --backup-id $ID -o backup_manifest_$ID.0 DIRECTORY', 'the first of four shares'],
    ['--worker 2 --files-from LIST --backup-id $ID -o backup_manifest_$ID.2 DIRECTORY', 'what LIST names'],
  ],
  run: async ({ print, messages, signal, stdin }, values, operands) => {
    const options = readOptions(values, operands)
    const { writeFragment } = await import('../../../src/manifest/fragment/write-fragment.js')
    const list = values['files-from']
    const files = list === undefined ? {} : { files: await readFilesFrom(list, stdin, signal) }
    const result = await writeFragment({ ...options, ...files, signal })
    for (const pathname of result.specialFiles) {
      messages.warning(
        `"${displayPathname(pathname)}" is not a regular file or directory and was passed over`,
      )
    }
    for (const warning of result.warnings) messages.warning(warning)
    if (values.quiet !== true) {
      if (result.leftOut.length > 0) messages.note(describeLeftOut(result.leftOut))
      const what = `${formatCount(result.files, 'file')}, ${formatBytes(result.bytes)}`
      print(`recorded ${what}, in "${displayPathname(options.output)}"`)
    }
    return exitStatus.done
  },
})

/** How many files are named. */
const MAX_NAMED = 3

function describeLeftOut(pathnames: readonly Pathname[]): string {
  const named = pathnames.slice(0, MAX_NAMED).map((pathname) => `"${displayPathname(pathname)}"`)
  const more = pathnames.length > MAX_NAMED ? ', ...' : ''
  return `left out ${formatCount(pathnames.length, 'file')} that no base backup has (${named.join(', ')}${more}); a copy with them needs --include-all`
}
