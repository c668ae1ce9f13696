import type { Server } from 'node:net'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SecureContext } from 'node:tls'
import { isPbManifestError, PbManifestError } from '../../errors.js'
import { readControlFile, readMajorVersion } from '../../manifest/data-directory-files.js'
import { version } from '../../version.js'
import { AGENT_PARAMETER } from '../connection/gate/connect-agent.js'
import type { WireAccess } from '../wire/server/authenticate.js'
import { ConnectionPlaces } from '../wire/server/connection-places.js'
import { type WireEntry, WireServer } from '../wire/server/wire-server.js'
import type { MakeHandler } from '../wire/wire-handler.js'
import { ClientConnection } from './client-connection.js'
import { BackupTable } from './backup-table.js'
import { FragmentDirectory } from './fragment-directory.js'
import { type Address, addressOf, formatAddress, listenOnAddress } from './listen/listen-on-address.js'
import { listenOnSocket, socketPath, type SocketPlace } from './listen/listen-on-socket.js'
import { type AgentEvent, toAgentEvent } from './agent-event.js'
import { AgentBackupMode } from './thread/agent-backup-mode.js'
import { SpareThreads } from './thread/spare-threads.js'
import { shutdown } from './wire-error-data.js'
import type { ConnectionOptions } from '../connection/settings/connection-options.js'
import type { ScramUsers } from '../wire/scram/scram-users.js'

/** Where a client on a Unix socket comes from, as PostgreSQL calls it. */
const LOCAL = '[local]'

/** How often it is looked whether the last backup has ended, in milliseconds. */
const DRAIN_INTERVAL_MS = 100

/**
 * Serves the commands of parallel backups beside a database server: files from its data directory, backup mode from the
 * server itself.
 */
export class Agent {
  readonly #options: AgentOptions
  readonly #fragments: FragmentDirectory
  readonly #backups: BackupTable
  readonly #connections = new Set<ClientConnection>()
  readonly #wire: WireServer
  readonly #threads: SpareThreads
  readonly #listeners: Server[] = []
  /** In place of those it was started with. */
  #reloaded: NetworkCredentials | undefined
  #closed: Promise<void> | undefined

  private constructor(options: AgentOptions, majorVersion: number) {
    this.#options = options
    this.#fragments = new FragmentDirectory()
    const { dataDirectory, server } = options
    this.#threads = new SpareThreads({ dataDirectory, server, fragmentDirectory: this.#fragments.path })
    this.#backups = new BackupTable(options.limits.maxBackups, options.onEvent)
    this.#wire = new WireServer({
      serverVersion: `${majorVersion} (pbmanifest ${version})`,
      settings: new Map([[AGENT_PARAMETER, describeAgent()]]),
      limits: options.limits,
      makeHandler: this.#makeHandler,
      onEvent: (event) => {
        const told = toAgentEvent(event)
        if (told !== undefined) options.onEvent(told)
      },
    })
  }

  /**
   * Starts an agent; `close` ends it.
   *
   * @throws {@link PbManifestError} `USAGE` when the server runs on another data directory; `IO`, `BAD_FILE`
   */
  static async start(options: AgentOptions): Promise<Agent> {
    const majorVersion = requireCluster(options.dataDirectory)
    await lookAtServer(options)
    const agent = new Agent(options, majorVersion)
    try {
      await agent.#listen()
      return agent
    } catch (error) {
      await agent.close()
      throw error
    }
  }

  /** What it does just now. */
  get status(): AgentStatus {
    return statusOf(this.#backups, this.#wire.connections)
  }

  /** From now on, these let in who comes over TCP. Who is in, stays. */
  reload(credentials: NetworkCredentials): void {
    this.#reloaded = credentials
    this.#options.onEvent({ type: 'reloaded' })
  }

  /**
   * Ends the agent when the backups that run have ended, or after some time. No other may start.
   *
   * @param timeoutMs - after that, the backups that are left are aborted
   */
  async drain(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs
    this.#stopListening()
    this.#backups.close()
    this.#options.onEvent({ type: 'draining', backups: this.#backups.running.length })
    for (const connection of this.#connections) {
      if (!connection.isInBackup) connection.end(shutdown)
    }
    while (this.#isInUse && performance.now() < deadline) await sleep(DRAIN_INTERVAL_MS)
    await this.close()
  }

  /** Ends the agent at once: backups that run are aborted, and the server is out of backup mode. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** What is left when the process ends without {@link close}. Waits for nothing. */
  removeFiles(): void {
    this.#fragments.remove()
  }

  /** Whoever has built its manifest has not left yet: a client may take it for the loss of its backup. */
  get #isInUse(): boolean {
    return this.#backups.isStarting || [...this.#connections].some(({ isInBackup }) => isInBackup)
  }

  async #close(): Promise<void> {
    this.#stopListening()
    this.#backups.close()
    await Promise.all([this.#wire.close(), this.#threads.close()])
    this.removeFiles()
    this.#options.onEvent({ type: 'stopped' })
  }

  async #listen(): Promise<void> {
    const { socket, network, limits, onEvent } = this.#options
    if (socket !== undefined) {
      const access: WireAccess = { authentication: { method: 'trust' } }
      const entry: WireEntry = { remote: LOCAL, host: LOCAL, access, places: new ConnectionPlaces(limits) }
      this.#listeners.push(await listenOnSocket(socket, (client) => this.#wire.accept(client, entry)))
      onEvent({ type: 'listening', address: socketPath(socket), isEncrypted: false })
    }
    if (network !== undefined) {
      const places = new ConnectionPlaces(limits)
      const server = await listenOnAddress(network.address, (client) => {
        const { remoteAddress: host = '?', remotePort: port = 0 } = client
        const access = networkAccess(this.#reloaded ?? network)
        this.#wire.accept(client, { remote: formatAddress({ host, port }), host, access, places })
      })
      this.#listeners.push(server)
      const address = formatAddress(addressOf(server))
      onEvent({ type: 'listening', address, isEncrypted: network.tls !== undefined })
    }
  }

  readonly #makeHandler: MakeHandler = async (client) => {
    const { limits, onEvent } = this.#options
    const context = {
      backups: this.#backups,
      fragments: this.#fragments,
      threads: this.#threads,
      backupIdleTimeoutMs: limits.backupIdleTimeoutMs,
      onEvent,
    }
    const connection = new ClientConnection(context, client, {
      seesAllIds: client.remote === LOCAL,
      onClose: () => {
        this.#connections.delete(connection)
        if (this.#backups.running.length === 0) this.#threads.refill()
      },
    })
    this.#connections.add(connection)
    return await Promise.resolve(connection)
  }

  #stopListening(): void {
    // What `close` of a server waits for are the connections, which end in another way.
    for (const server of this.#listeners.splice(0)) server.close()
  }
}

/** The major version of the cluster, which is there and can be read. */
function requireCluster(dataDirectory: string): number {
  const majorVersion = readMajorVersion(dataDirectory)
  if (majorVersion !== undefined && readControlFile(dataDirectory) !== undefined) return majorVersion
  throw new PbManifestError('USAGE', `directory "${dataDirectory}" is not a database cluster directory`)
}

/** A server that is down may come up; one that is another one is a mistake. */
async function lookAtServer({ server, dataDirectory, onEvent }: AgentOptions): Promise<void> {
  const mode = new AgentBackupMode(server, dataDirectory)
  try {
    await mode.facts()
  } catch (error) {
    if (!isPbManifestError(error) || error.code !== 'SERVER') throw error
    onEvent({ type: 'server-unavailable', message: error.message })
  } finally {
    await mode.close()
  }
}

function networkAccess({ users, tls }: NetworkCredentials): WireAccess {
  return {
    authentication: users === undefined ? { method: 'trust' } : { method: 'scram-sha-256', users },
    tls: tls && { context: tls, isRequired: true },
  }
}

/** Other than every other agent's, wherever it runs. */
function describeAgent(): string {
  const started = new Date(Math.round(performance.timeOrigin)).toISOString()
  return `the agent with process ${process.pid} on ${hostname()} (running since ${started})`
}

/** What an agent does just now. */
export interface AgentStatus {
  readonly connections: number
  readonly backups: number
  /** Sent by the backups that run. */
  readonly bytes: number
  /** Bytes per second, of all backups together, lately. */
  readonly rate: number
}

function statusOf(backups: BackupTable, connections: number): AgentStatus {
  const { running } = backups
  return {
    connections,
    backups: running.length,
    bytes: sum(running.map(({ state }) => state.bytesStreamed)),
    rate: sum(running.map((backup) => backups.rateOf(backup))),
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** What an agent serves, where, to whom, and how much. */
interface AgentOptions {
  readonly dataDirectory: string
  /** The server that runs on it. */
  readonly server: ConnectionOptions
  /** Whoever can connect there is let in. */
  readonly socket?: SocketPlace | undefined
  readonly network?: NetworkAccess | undefined
  readonly limits: AgentLimits
  readonly onEvent: (event: AgentEvent) => void
}

/** Where and how clients come in over TCP. */
export interface NetworkAccess extends NetworkCredentials {
  readonly address: Address
}

/** Who comes in over TCP, and how the agent proves who it is. */
export interface NetworkCredentials {
  /** **`undefined`: everybody is let in.** */
  readonly users: ScramUsers | undefined
  /** **`undefined`: nothing is encrypted.** Otherwise everything must be. */
  readonly tls: SecureContext | undefined
}

export interface AgentLimits {
  /** Of the Unix socket, and of the network, those that were let in. */
  readonly maxConnections: number
  /** Likewise, those that have not shown who they are. */
  readonly maxUnauthenticated: number
  /** How long a client may take to show who it is. */
  readonly authenticationTimeoutMs: number
  readonly maxBackups: number
  /** Bytes of a command. */
  readonly maxMessageBytes: number
  /** How long a connection may say nothing; 0: forever. One that is part of a backup may as long as that is not idle. */
  readonly idleTimeoutMs: number
  /** How long a backup may do nothing at all; 0: forever. It is looked at once in `idleTimeoutMs`. */
  readonly backupIdleTimeoutMs: number
  /** How long a client may take nothing of what it asked for; 0: forever. */
  readonly stallTimeoutMs: number
}
