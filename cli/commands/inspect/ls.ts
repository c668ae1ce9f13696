import {
  displayPathname,
  encodePathname,
  escapePathname,
  unescapePathname,
} from '../../../src/files/pathname.js'
import { throwIfAborted, Yielder } from '../../../src/files/yielder.js'
import { fileOrders, type ManifestFileList } from '../../../src/inspect/list-manifest-files.js'
import type { InventoryFile } from '../../../src/inspect/manifest-inventory.js'
import { type ExitStatus, exitStatus } from '../../exit-status.js'
import { textOrJson } from '../../shared-options.js'
import { usageError } from '../../usage-error.js'
import { type Command, type CommandContext, defineCommand, type OptionValues } from '../command.js'

const options = {
  'What to list:': {
    sort: {
      choices: fileOrders,
      default: 'name',
      type: 'string',
      value: fileOrders.join('|'),
      describe: 'order; size: largest first, time: newest first, none: as in the manifest',
    },
    reverse: { alias: 'r', type: 'boolean', describe: 'the other way round' },
  },
  'Output:': {
    long: {
      alias: 'l',
      type: 'boolean',
      describe: 'size, time of modification and checksum before each name',
    },
    null: {
      alias: 'z',
      type: 'boolean',
      describe: 'names as they are, each followed by NUL and not by a new line',
    },
    output: textOrJson,
  },
} as const

type Values = OptionValues<typeof options>

export const lsCommand: Command = defineCommand({
  name: 'ls',
  summary: 'list the files of a manifest',
  synopsis: '[OPTION]... MANIFEST|DIRECTORY [PATHNAME]...',
  operands: 'path',
  options,
  examples: [
    ['-l --sort=size BACKUP | head', 'the largest files'],
    ['BACKUP base/5 global/pg_control', 'all of a database, and a file'],
    ['-z BACKUP | (cd COPY && xargs -0 stat)', 'names for another program, whatever is in them'],
  ],
  run: async (context, values, operands) => {
    const [path, ...pathnames] = operands
    if (path === undefined) throw usageError('no manifest or backup directory specified')
    if (values.output === 'json' && (values.long === true || values.null === true)) {
      throw usageError(`cannot specify both --output=json and --${values.long === true ? 'long' : 'null'}`)
    }
    const { listManifestFiles } = await import('../../../src/inspect/list-manifest-files.js')
    const list = await listManifestFiles(path, {
      pathnames: pathnames.map(unescapePathname),
      order: values.sort,
      isReversed: values.reverse === true,
      signal: context.signal,
    })
    await printList(context, values, list)
    return explainNotFound(context, list)
  },
})

function explainNotFound({ messages }: CommandContext, { notFound }: ManifestFileList): ExitStatus {
  for (const pathname of notFound) messages.error(`the manifest has no "${displayPathname(pathname)}"`)
  return notFound.length === 0 ? exitStatus.done : exitStatus.problems
}

/** So many lines are written at once. */
const BATCH = 500

async function printList(context: CommandContext, values: Values, list: ManifestFileList): Promise<void> {
  const { print, printBytes, printJson, signal } = context
  if (values.output === 'json') {
    const { formatFileListAsJson } = await import('../../../src/inspect/format-as-json.js')
    printJson(formatFileListAsJson(list))
    return throwIfAborted(signal)
  }
  const yielder = new Yielder(signal)
  const format = lineFormat(values, list)
  let lines: string[] = []
  const write = (): void => {
    if (values.null === true) printBytes(Buffer.concat(lines.map((line) => encodePathname(`${line}\0`))))
    else if (lines.length > 0) print(lines.join('\n'))
    lines = []
  }
  for (const file of list) {
    lines.push(format(file))
    if (lines.length < BATCH) continue
    write()
    if (yielder.isDue) await yielder.yield()
  }
  write()
}

function lineFormat(values: Values, list: ManifestFileList): (file: InventoryFile) => string {
  const nameOf =
    values.null === true
      ? ({ pathname }: InventoryFile) => pathname
      : ({ pathname }: InventoryFile) => escapePathname(pathname)
  if (values.long !== true) return nameOf
  const width = String(list.largest).length
  return (file) =>
    `${String(file.size).padStart(width)} ${formatTime(file)} ${formatChecksum(file)} ${nameOf(file)}`
}

/** `2026-11-22T21:34:22Z`: one word. Another text than a server's is not repeated. */
function formatTime({ lastModified }: InventoryFile): string {
  const [, day, time] = /^([0-9-]{10}) ([0-9:]{8}) GMT$/.exec(lastModified ?? '') ?? []
  return day === undefined || time === undefined ? '-'.padEnd(20) : `${day}T${time}Z`
}

function formatChecksum({ checksum }: InventoryFile): string {
  return checksum === undefined ? '-' : `${checksum.algorithm}:${checksum.hex}`
}
