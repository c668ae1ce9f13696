import { once } from 'node:events'
import { isPbManifestError } from '../../../src/errors.js'
import type { MetricsServer } from '../../../src/transfer/agent/agent-metrics.js'
import { type Address, formatAddress } from '../../../src/transfer/agent/listen/listen-on-address.js'
import { exitStatus } from '../../exit-status.js'
import { refuseOperands } from '../../operands.js'
import { readServeOptions, serveOptions, type ServeValues } from './serve-options.js'
import { withoutUndefined } from '../../without-undefined.js'
import { type Command, type CommandContext, defineCommand } from '../command.js'

export const serveCommand: Command = defineCommand({
  name: 'serve',
  summary: 'serve parallel base backups beside a server, for psql and "backup --agent"',
  synopsis: '[OPTION]...',
  operands: 'none',
  options: serveOptions,
  endsBySignal: true,
  examples: [
    ['-D /srv/pg/data --server "host=/run/postgresql" --socket-dir /run/pbmanifest', 'on a Unix socket'],
    [
      '-D DIR --server CONNINFO --listen 10.0.0.5:5433 --users-file USERS --tls-cert CERT --tls-key KEY',
      'on the network',
    ],
  ],
  run: async (context, values, operands) => {
    refuseOperands(operands)
    await serve(context, values)
    return exitStatus.done
  },
})

async function serve(
  { env, messages, signal, onHangup }: CommandContext,
  values: ServeValues,
): Promise<void> {
  const { network, metrics: metricsAddress, drainTimeoutMs, server, ...settings } = readServeOptions(values)
  const [
    { Agent },
    { readCredentials, readSaltKey },
    { AgentMetrics },
    { createEventLog },
    { readConnectionEnvironment, resolveConnection },
  ] = await Promise.all([
    import('../../../src/transfer/agent/agent.js'),
    import('./serve-credentials.js'),
    import('../../../src/transfer/agent/agent-metrics.js'),
    import('./serve-log.js'),
    import('../../../src/transfer/connection/settings/resolve-connection.js'),
  ])
  // Whoever sends it too early must not end us.
  let reload: (() => void) | undefined
  onHangup(() => reload?.())
  const log = createEventLog(values['log-level'], { write: (line) => messages.json(line.trimEnd()) })
  const metrics = new AgentMetrics()
  const saltKey = await readSaltKey(settings.dataDirectory)
  const { options, warnings } = resolveConnection(
    withoutUndefined({ conninfo: server }),
    readConnectionEnvironment(env),
  )
  for (const warning of warnings) messages.warning(warning)
  const agent = await Agent.start({
    ...settings,
    server: options,
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
  const { MetricsServer } = await import('../../../src/transfer/agent/agent-metrics.js')
  return await MetricsServer.start(address, format)
}
