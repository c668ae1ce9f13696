import { type DestinationStream, pino } from 'pino'
import { shortenText } from '../../../src/files/display-text.js'
import type { AgentEvent } from '../../../src/transfer/agent/agent-event.js'
import type { LogLevel } from './serve-options.js'

/** Of a value; a stack of ours is shorter. */
const MAX_CHARACTERS = 4096

const levelOf: Readonly<Record<AgentEvent['type'], LogLevel>> = {
  listening: 'info',
  'serving-metrics': 'info',
  reloaded: 'info',
  'reload-failed': 'error',
  'server-unavailable': 'warn',
  draining: 'info',
  stopped: 'info',
  'connection-opened': 'info',
  'connection-closed': 'info',
  'authentication-failed': 'warn',
  'connection-abandoned': 'debug',
  'connection-refused': 'warn',
  'cancel-request': 'info',
  'file-refused': 'warn',
  'command-failed': 'error',
  'internal-error': 'error',
  'backup-started': 'info',
  'worker-joined': 'info',
  'backup-warning': 'warn',
  'backup-stopped': 'info',
  'backup-finished': 'info',
  'backup-aborted': 'error',
}

/** Writes each event as one line of JSON: `{"level":"info","time":"...","event":"backup-started",...}`. */
export function createEventLog(level: LogLevel, output: DestinationStream): (event: AgentEvent) => void {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    output,
  )
  return ({ type, ...details }) => logger[levelOf[type]]({ event: type, ...shortenTexts(details) })
}

/** What clients and servers say may be as long as they like; a line of a log may not. */
function shortenTexts(details: object): object {
  const entries = Object.entries(details).map(([name, value]: [string, unknown]) => [
    name,
    typeof value === 'string' ? shortenText(value, MAX_CHARACTERS) : value,
  ])
  return Object.fromEntries(entries)
}
