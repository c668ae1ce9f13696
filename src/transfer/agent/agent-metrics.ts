import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { formatMetrics, type Metric } from '../../prometheus-text.js'
import { version } from '../../version.js'
import type { AgentEvent } from './agent-event.js'
import type { AgentStatus } from './agent.js'
import { type Address, addressOf, listenAt } from './listen/listen-on-address.js'

/** What an agent counts, for Prometheus. It is told of every event. */
export class AgentMetrics {
  readonly #startedAt = Date.now() / 1000
  #started = 0
  #finished = 0
  #aborted = 0
  /** Of backups that have ended. */
  #bytes = 0
  #lastFinishedAt = 0
  #lastSeconds = 0
  #errors = 0
  #authenticationFailures = 0
  #connectionsRefused = 0
  #filesRefused = 0
  #checksumFailures = 0

  accept(event: AgentEvent): void {
    switch (event.type) {
      case 'backup-started':
        this.#started++
        return
      case 'backup-finished':
        this.#finished++
        this.#lastFinishedAt = Date.now() / 1000
        this.#lastSeconds = event.seconds
        this.#bytes += event.bytes
        this.#checksumFailures += event.checksumFailures
        return
      case 'backup-aborted':
        this.#aborted++
        this.#bytes += event.bytes
        this.#checksumFailures += event.checksumFailures
        return
      case 'authentication-failed':
        this.#authenticationFailures++
        return
      case 'connection-refused':
        this.#connectionsRefused++
        return
      case 'file-refused':
        this.#filesRefused++
        return
      case 'command-failed':
      case 'internal-error':
        this.#errors++
        return
      default:
    }
  }

  /** The text that Prometheus reads. */
  format(status: AgentStatus): string {
    return formatMetrics([...this.#counters(status), ...gauges(status), ...this.#times()])
  }

  #counters({ bytes }: AgentStatus): Metric[] {
    return [
      counter('backups_started_total', 'Backups that were started.', this.#started),
      {
        name: 'backups_total',
        type: 'counter',
        help: 'Backups that have ended, by result.',
        samples: [
          { labels: { result: 'finished' }, value: this.#finished },
          { labels: { result: 'aborted' }, value: this.#aborted },
        ],
      },
      counter('sent_bytes_total', 'Bytes of files that were sent, by all backups.', this.#bytes + bytes),
      counter('errors_total', 'Commands that failed.', this.#errors),
      counter('files_refused_total', 'Files that were asked for and that nobody gets.', this.#filesRefused),
      counter(
        'authentication_failures_total',
        'Connections with a wrong user or password.',
        this.#authenticationFailures,
      ),
      counter(
        'connections_refused_total',
        'Connections that were turned away for another reason: too many, no encryption ...',
        this.#connectionsRefused,
      ),
      counter(
        'page_checksum_failures_total',
        'Pages with a wrong checksum, in backups that have ended.',
        this.#checksumFailures,
      ),
    ]
  }

  #times(): Metric[] {
    return [
      gauge(
        'last_backup_finished_timestamp_seconds',
        'When the last backup was finished; 0: none since the start.',
        this.#lastFinishedAt,
      ),
      gauge('last_backup_duration_seconds', 'How long the last finished backup took.', this.#lastSeconds),
      gauge('start_timestamp_seconds', 'When the agent was started.', this.#startedAt),
      {
        name: 'build_info',
        type: 'gauge',
        help: 'The version of pbmanifest.',
        samples: [{ labels: { version }, value: 1 }],
      },
    ]
  }
}

function gauges({ backups, connections, rate }: AgentStatus): Metric[] {
  return [
    gauge('backups_running', 'Backups that run.', backups),
    gauge('connections', 'Open connections.', connections),
    gauge('rate_bytes_per_second', 'What all backups send together, over the last seconds.', rate),
  ]
}

function counter(name: string, help: string, value: number): Metric {
  return { name, type: 'counter', help, samples: [{ labels: {}, value }] }
}

function gauge(name: string, help: string, value: number): Metric {
  return { name, type: 'gauge', help, samples: [{ labels: {}, value }] }
}

/** A scrape is over in no time; whoever takes longer is none. */
const TIMEOUT_MS = 10_000
const MAX_CONNECTIONS = 16

/** Answers `GET /metrics`, and nothing else. */
export class MetricsServer {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /** @throws {@link PbManifestError} `IO` */
  static async start(address: Address, format: () => string): Promise<MetricsServer> {
    const server = createServer(
      { requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS },
      (request, response) => {
        const { method, url } = request
        if (url !== '/metrics') return void response.writeHead(404).end()
        if (method !== 'GET' && method !== 'HEAD') return void response.writeHead(405, { allow: 'GET' }).end()
        response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8')
        return void response.end(format())
      },
    )
    keepNewest(server)
    await listenAt(server, address)
    return new MetricsServer(server)
  }

  get address(): Address {
    return addressOf(this.#server)
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

/** Whoever asks is answered at once, so those who have been here longest are the ones that say nothing. */
function keepNewest(server: Server): void {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    const [oldest] = sockets
    if (sockets.size > MAX_CONNECTIONS) oldest?.destroy()
  })
}
