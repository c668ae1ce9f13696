import { once } from 'node:events'
import type { InferredOptionTypes } from 'yargs'
import { isPbManifestError } from '../../../src/errors.js'
import type { MetricsServer } from '../../../src/transfer/agent/metrics/metrics-server.js'
import { type Address, formatAddress } from '../../../src/transfer/agent/listen/listen-on-address.js'
import { exitStatus } from '../../exit-status.js'
import { logLevels } from './log-levels.js'
import { tooManyArguments } from '../../operands.js'
import { readServeOptions } from './serve-options.js'
import { withoutUndefined } from '../../without-undefined.js'
import { type Command, type CommandContext, defineCommand } from '../command.js'

const whatGroup = 'What to serve:'
const whereGroup = 'Where, and to whom:'
const limitGroup = 'Limits:'
const reportGroup = 'Logs and metrics:'

const options = {
  pgdata: {
    alias: 'D',
    type: 'string',
    group: whatGroup,
    describe: 'data directory of the server (required)',
  },
  server: {
    type: 'string',
    group: whatGroup,
    describe: 'connection string of the server that runs on it (default: as PGHOST and its like say)',
  },
  'socket-dir': { type: 'string', group: whereGroup, describe: 'directory of a Unix socket to listen on' },
  port: {
    alias: 'p',
    type: 'string',
    group: whereGroup,
    describe: 'number in the name of the Unix socket (default: 5433)',
  },
  'socket-mode': {
    type: 'string',
    group: whereGroup,
    describe: 'permissions of the Unix socket: who may connect (default: 0700)',
  },
  listen: { type: 'string', group: whereGroup, describe: 'HOST:PORT to listen on; * for all addresses' },
  'users-file': {
    type: 'string',
    group: whereGroup,
    describe: 'users that get in over --listen: lines of "user:SCRAM-SHA-256$..."',
  },
  'tls-cert': { type: 'string', group: whereGroup, describe: 'certificate for --listen (PEM)' },
  'tls-key': { type: 'string', group: whereGroup, describe: 'its private key (PEM)' },
  insecure: {
    type: 'boolean',
    group: whereGroup,
    describe: 'let --listen do without --users-file or --tls-cert',
  },
  'max-connections': {
    type: 'string',
    group: limitGroup,
    describe: 'connections at once, on the Unix socket and over --listen each (default: 100)',
  },
  'max-unauthenticated': {
    type: 'string',
    group: limitGroup,
    describe: 'those that have not shown who they are, likewise (default: as --max-connections)',
  },
  'authentication-timeout': {
    type: 'string',
    group: limitGroup,
    describe: 'seconds that they have for that (default: 60)',
  },
  'max-backups': { type: 'string', group: limitGroup, describe: 'backups at once (default: 10)' },
  'max-message-size': {
    type: 'string',
    group: limitGroup,
    describe: 'longest command, in kB (default: 4096)',
  },
  'idle-timeout': {
    type: 'string',
    group: limitGroup,
    describe: 'seconds that a client may say and take nothing; 0: forever (default: 900)',
  },
  'backup-idle-timeout': {
    type: 'string',
    group: limitGroup,
    describe: 'seconds that all clients of a backup together may do so; 0: forever (default: 14400)',
  },
  'drain-timeout': {
    type: 'string',
    group: limitGroup,
    describe: 'seconds that running backups have to end after SIGTERM (default: 60)',
  },
  'log-level': {
    choices: logLevels,
    default: 'info',
    type: 'string',
    group: reportGroup,
    describe: 'what is logged on standard error, one JSON object a line',
  },
  'metrics-listen': {
    type: 'string',
    group: reportGroup,
    describe: 'HOST:PORT, or PORT of 127.0.0.1, for Prometheus',
  },
} as const

type Values = InferredOptionTypes<typeof options>

export const serveCommand: Command = defineCommand({
  name: 'serve',
  summary: 'serve parallel base backups beside a server, for psql and "backup --agent"',
  synopsis: '[OPTION]...',
  options,
  endsBySignal: true,
  examples: [
    ['-D /srv/pg/data --server "host=/run/postgresql" --socket-dir /run/pbmanifest', 'on a Unix socket'],
    [
      '-D DIR --server CONNINFO --listen 10.0.0.5:5433 --users-file USERS --tls-cert CERT --tls-key KEY',
      'on the network',
    ],
  ],
  run: async (context, values, operands) => {
    const [first] = operands
    if (first !== undefined) throw tooManyArguments(first)
    await serve(context, values)
    return exitStatus.done
  },
})

async function serve({ env, messages, signal, onHangup }: CommandContext, values: Values): Promise<void> {
  const { network, metrics: metricsAddress, drainTimeoutMs, server, ...settings } = readServeOptions(values)
  const [
    { Agent },
    { readCredentials, readSaltKey },
    { AgentMetrics },
    { createEventLog },
    { resolveSettings },
  ] = await Promise.all([
    import('../../../src/transfer/agent/agent.js'),
    import('./serve-credentials.js'),
    import('../../../src/transfer/agent/metrics/agent-metrics.js'),
    import('./serve-log.js'),
    import('../backup/prepare-connections.js'),
  ])
  // Whoever sends it too early must not end us.
  let reload: (() => void) | undefined
  onHangup(() => reload?.())
  const log = createEventLog(values['log-level'], { write: (line) => messages.json(line.trimEnd()) })
  const metrics = new AgentMetrics()
  const saltKey = await readSaltKey(settings.dataDirectory)
  const agent = await Agent.start({
    ...settings,
    server: resolveSettings(withoutUndefined({ conninfo: server }), { env, messages }),
    network: network && { address: network.address, ...readCredentials(network, saltKey) },
    onEvent: (event) => {
      metrics.accept(event)
      log(event)
    },
  })
  reload = () => {
    try {
      if (network !== undefined) agent.reload(readCredentials(network, saltKey))
    } catch (error) {
      if (!isPbManifestError(error)) throw error
      log({ type: 'reload-failed', message: error.message })
    }
  }
  // A second signal ends the process at once. The server notices that we are gone, and leaves backup mode.
  const removeFiles = (): void => agent.removeFiles()
  process.once('exit', removeFiles)
  let metricsServer: MetricsServer | undefined
  try {
    if (metricsAddress !== undefined) {
      metricsServer = await startMetrics(metricsAddress, () => metrics.format(agent.status))
      log({ type: 'serving-metrics', address: formatAddress(metricsServer.address) })
    }
    if (!signal.aborted) await once(signal, 'abort')
    await agent.drain(drainTimeoutMs)
  } finally {
    metricsServer?.close()
    await agent.close()
    process.off('exit', removeFiles)
  }
}

async function startMetrics(address: Address, format: () => string): Promise<MetricsServer> {
  const { MetricsServer } = await import('../../../src/transfer/agent/metrics/metrics-server.js')
  return await MetricsServer.start(address, format)
}
