import { displayPathname } from '../../src/files/pathname.js'
import { type DrillCheck, drillEnds, type DrillReport } from '../../src/drill/report.js'
import type { DrillOptions } from '../../src/drill/drill-backup.js'
import { type ExitStatus, exitStatus } from '../exit-status.js'
import { formatBytes, formatCount, formatSeconds } from '../../src/renderings/format.js'
import { formatAsJson } from '../../src/schemas/validator.js'
import { readOnlyOperand } from '../operands.js'
import { invalidValue, readCount, readOptional } from '../option-values.js'
import { withoutUndefined } from '../without-undefined.js'
import { type Command, type CommandContext, defineCommand, type OptionValues } from './command.js'

const options = {
  'Server:': {
    bindir: {
      alias: 'b',
      type: 'string',
      kind: 'directory',
      value: 'DIRECTORY',
      describe: "programs of a server of the backup's version (default: as packages put them, then PATH)",
    },
    as: {
      type: 'string',
      kind: 'text',
      value: 'USER',
      describe: 'who runs the server, when root holds the drill',
    },
    set: {
      alias: 'c',
      type: 'string',
      array: true,
      kind: 'text',
      value: 'NAME=VALUE',
      describe: 'a setting of the server',
    },
    scratch: {
      type: 'string',
      kind: 'directory',
      value: 'DIRECTORY',
      describe: 'where the copy is made (default: TMPDIR)',
    },
    until: {
      choices: drillEnds,
      default: 'end',
      type: 'string',
      value: 'end|consistent',
      describe: 'how far WAL is replayed (default: end)',
    },
    timeout: {
      alias: 't',
      type: 'string',
      kind: 'number',
      value: 'SECS',
      describe: 'seconds that recovery may take (default: any time)',
    },
  },
  'Checks:': {
    amcheck: { type: 'boolean', describe: 'all B-tree indexes and tables, by the extension amcheck' },
    sql: { type: 'string', kind: 'file', value: 'FILE', describe: 'SQL that is to run without an error' },
    username: {
      alias: 'U',
      type: 'string',
      kind: 'text',
      value: 'NAME',
      describe: 'a superuser of the cluster (default: postgres)',
    },
    dbname: {
      alias: 'd',
      type: 'string',
      kind: 'text',
      value: 'NAME',
      describe: 'database for the SQL (default: postgres)',
    },
  },
  'Output:': {
    quiet: { alias: 'q', type: 'boolean', describe: 'print nothing but errors' },
    output: {
      choices: ['text', 'json'],
      default: 'text',
      type: 'string',
      value: 'text|json',
      describe: 'json: one document on standard output',
    },
  },
} as const

type Values = OptionValues<typeof options>

function readOptions(values: Values, env: Readonly<NodeJS.ProcessEnv>): DrillOptions {
  return withoutUndefined({
    bindir: values.bindir,
    as: values.as,
    settings: Object.fromEntries((values.set ?? []).map(readSetting)),
    scratchParent: values.scratch,
    until: drillEnds.find((end) => end === values.until),
    timeoutSeconds: readOptional(readCount, '-t/--timeout', values.timeout),
    amcheck: values.amcheck,
    sqlFile: values.sql,
    username: values.username,
    database: values.dbname,
    path: env['PATH'],
  })
}

function readSetting(text: string): [string, string] {
  const equals = text.indexOf('=')
  if (equals < 1) throw invalidValue('-c/--set', text, 'a setting and its value, such as work_mem=64MB')
  // As the server has it: dashes stand for underscores.
  return [text.slice(0, equals).replaceAll('-', '_').toLowerCase(), text.slice(equals + 1)]
}

export const drillCommand: Command = defineCommand({
  name: 'drill',
  summary: 'have a scratch server recover on a copy of a backup, and check it',
  synopsis: '[OPTION]... DIRECTORY',
  operands: 'directory',
  options,
  examples: [
    ['BACKUP', 'does a server recover on it, and how long does it take?'],
    ['--amcheck --sql checks.sql BACKUP', 'and is what it has then in order?'],
    ['--as postgres --bindir /usr/lib/postgresql/17/bin BACKUP', 'as root'],
  ],
  run: async (context, values, operands) => {
    const { printJson, messages, signal, env } = context
    const directory = readOnlyOperand(operands, 'backup directory')
    const isQuiet = values.quiet === true
    const { drillBackup } = await import('../../src/drill/drill-backup.js')
    const report = await drillBackup(directory, { ...readOptions(values, env), signal })
    if (values.output === 'json') {
      printJson(formatAsJson('drill-report', report))
      return exitStatusOf(report)
    }
    if (!isQuiet) for (const note of report.notes) messages.warning(note)
    printReport(context, report, isQuiet)
    return exitStatusOf(report)
  },
})

function printReport({ print, messages }: CommandContext, report: DrillReport, isQuiet: boolean): void {
  const { failure, checks } = report
  for (const { findings, findingCount } of checks) {
    for (const { database, relation, message } of findings) {
      const where = relation === undefined ? '' : `, "${displayPathname(relation)}"`
      messages.error(`database "${displayPathname(database)}"${where}: ${message}`)
    }
    if (findingCount > findings.length) messages.detail(`and ${findingCount - findings.length} more`)
  }
  const summary = formatSummary(report)
  if (failure === null) {
    if (!isQuiet) print(`drill passed: a server recovered on a copy of the backup\n${summary}`)
    return
  }
  messages.error(failure.message)
  for (const detail of failure.details) messages.detail(detail)
  if (failure.hint !== undefined) messages.hint(failure.hint)
  if (!isQuiet && summary !== '') messages.note(summary)
  messages.note(
    failure.part === 'backup'
      ? 'drill failed: it is the backup that failed'
      : 'drill failed: it is the drill that failed, and nothing is known of the backup',
  )
}

const checkNouns: Readonly<Record<DrillCheck['what'], string>> = {
  databases: 'database',
  amcheck: 'relation',
  sql: 'file of SQL',
}

function formatSummary({ copy, recovery, checks }: DrillReport): string {
  const parts: string[] = []
  if (copy !== null) {
    const cloned = copy.isCloned ? ' (cloned)' : ''
    parts.push(`copied ${formatBytes(copy.bytes)} in ${formatSeconds(copy.seconds)}${cloned}`)
  }
  if (recovery?.secondsToConsistency != null) {
    parts.push(`consistent after ${formatSeconds(recovery.secondsToConsistency)}`)
  }
  if (recovery?.seconds != null) parts.push(`recovered after ${formatSeconds(recovery.seconds)}`)
  for (const { what, objects, isPassed, seconds } of checks) {
    const plural = what === 'sql' ? checkNouns.sql : formatCount(objects, checkNouns[what])
    parts.push(`${plural} ${isPassed ? 'good' : 'not good'} in ${formatSeconds(seconds)}`)
  }
  return parts.join('; ')
}

function exitStatusOf({ failure }: DrillReport): ExitStatus {
  if (failure === null) return exitStatus.done
  return failure.part === 'backup' ? exitStatus.problems : exitStatus.server
}
