import { isPbManifestError } from '../../../src/errors.js'
import type { StatusReport } from '../../../src/state/status.js'
import { type ExitStatus, exitStatus } from '../../exit-status.js'
import { refuseOperands } from '../../operands.js'
import { readOptional } from '../../option-values.js'
import { readDuration } from '../../read-duration.js'
import { usageError } from '../../usage-error.js'
import { type Command, type CommandContext, defineCommand } from '../command.js'

const options = {
  'What to tell:': {
    state: {
      type: 'string',
      value: 'DIR',
      kind: 'directory',
      describe: 'state directory of verify (default: the environment variable PBMANIFEST_STATE)',
    },
    stale: {
      type: 'string',
      value: 'AGE',
      kind: 'text',
      describe: 'exit with 1 when a backup has not been verified for so long: 36h, 2d',
    },
    all: { alias: 'a', type: 'boolean', describe: 'also backups that were removed or replaced' },
  },
  'Output:': {
    output: {
      choices: ['text', 'json', 'nagios', 'prometheus'],
      default: 'text',
      type: 'string',
      value: 'text|json|nagios|prometheus',
      describe: 'for people, programs, Nagios (and its exit statuses), or a textfile collector',
    },
  },
} as const

export const statusCommand: Command = defineCommand({
  name: 'status',
  summary: 'tell which backups were verified, when, and with what result',
  synopsis: '[OPTION]...',
  operands: 'none',
  options,
  examples: [
    ['--state DIR', 'what verify --state DIR has left there'],
    ['--stale 36h --output=nagios', 'for monitoring'],
  ],
  run: async (context, values, operands) => {
    const { print, printJson, messages } = context
    const isNagios = values.output === 'nagios'
    try {
      refuseOperands(operands)
      const report = await readReport(context, values)
      switch (values.output) {
        case 'nagios': {
          const { formatStatusForNagios } = await import('../../../src/renderings/status.js')
          const { line, state } = formatStatusForNagios(report)
          print(line)
          const { nagiosStates } = await import('../../../src/renderings/nagios.js')
          return nagiosStates[state]
        }
        case 'prometheus': {
          const { formatStatusForPrometheus } = await import('../../../src/renderings/status.js')
          print(formatStatusForPrometheus(report).trimEnd())
          break
        }
        case 'json': {
          const { formatStatusAsJson } = await import('../../../src/state/status.js')
          printJson(formatStatusAsJson(report))
          break
        }
        default: {
          const { formatStatus } = await import('./status-text.js')
          print(formatStatus(report, values.all === true))
        }
      }
      for (const message of report.damaged) messages.error(message)
      return statusOf(report)
    } catch (error) {
      // Nagios takes the statuses of errors for warnings or worse, and reads standard output only.
      if (!isNagios || !isPbManifestError(error)) throw error
      const { formatNagiosLine, nagiosStates } = await import('../../../src/renderings/nagios.js')
      print(formatNagiosLine('unknown', error.message))
      return nagiosStates.unknown
    }
  },
})

interface Values {
  readonly state?: string | undefined
  readonly stale?: string | undefined
}

async function readReport({ env }: CommandContext, values: Values): Promise<StatusReport> {
  const directory = values.state ?? (env['PBMANIFEST_STATE'] || undefined)
  if (directory === undefined) {
    throw usageError('no state directory specified', 'Use --state, or set PBMANIFEST_STATE.')
  }
  const staleSeconds = readOptional(readDuration, '--stale', values.stale)
  const { readStatus } = await import('../../../src/state/status.js')
  return readStatus(directory, staleSeconds === undefined ? {} : { staleSeconds })
}

/** A backup of which nothing is known any more is no good one. */
function statusOf({ bad, stale, failed, damaged, staleSeconds, backups }: StatusReport): ExitStatus {
  if (bad > 0 || stale > 0 || failed.length > 0) return exitStatus.problems
  if (damaged.length > 0) return exitStatus.inputOutput
  // Whoever waits for verifications has to hear that there were none.
  return staleSeconds !== null && backups.length === 0 ? exitStatus.problems : exitStatus.done
}
