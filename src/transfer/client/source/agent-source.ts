import type { ConnectionOptions } from '../../connection/settings/connection-options.js'
import { identifyAgent, requireAgent } from '../../connection/gate/connect-agent.js'
import { pinHost } from '../../connection/pin-host.js'
import type { FoundAgent, OpenedLeader, OpenedWorker, OpenOptions } from './source.js'
import type { PgClient } from '../../connection/pg-connection.js'
import type {
  CommandResults,
  SessionCommand,
  SessionCommandName,
} from '../../commands/replication-command.js'
import { commandContracts, formatCommand } from '../../commands/commands.js'
import type { BackupSession } from '../../session/backup-session.js'
import { refused } from '../../commands/refused-error.js'
import { AgentConnection, type AgentConnectionOptions } from './agent-connection.js'

/**
 * Opens a leader's session at an agent.
 *
 * @param database - the agent's database server, for the stream of WAL
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function openAgentLeader(
  agent: ConnectionOptions,
  database: ConnectionOptions,
  options: OpenOptions,
): Promise<OpenedLeader> {
  const session = await RemoteSession.open(agent, options)
  return {
    session,
    workers: {
      kind: 'agent',
      agent: { connection: pinHost(agent, session.client), identity: identifyAgent(session.client) },
    },
    database,
    joinableBackup: (backupId) => ({ backupId, handle: undefined }),
    // An agent is no process of the database server, and does not tell what it waits for.
    watchNetwork: () => Promise.resolve(undefined),
  }
}

/**
 * Opens a worker's session at an agent.
 *
 * @throws {@link PbManifestError} `SERVER`, also when it is not at the leader's agent; `ABORTED`
 */
export async function openAgentWorker(agent: FoundAgent, options: OpenOptions): Promise<OpenedWorker> {
  const session = await RemoteSession.open(agent.connection, options)
  try {
    requireAgent(session.client, agent.identity)
  } catch (error) {
    await session.abort()
    throw error
  }
  return { session, pid: undefined, makeKnown: () => {} }
}

/** How long an agent may take to end a backup that is given up. */
const GRACE_MS = 5000

/** A session at an agent, on a connection of its own. */
export class RemoteSession implements BackupSession {
  readonly #connection: AgentConnection
  /** What it has asked to be. */
  #role: 'leader' | 'worker' | undefined
  #isEnded = false

  private constructor(connection: AgentConnection) {
    this.#connection = connection
  }

  /** @throws {@link PbManifestError} `SERVER` or `ABORTED` */
  static async open(options: ConnectionOptions, more: AgentConnectionOptions): Promise<RemoteSession> {
    return new RemoteSession(await AgentConnection.open(options, more))
  }

  /** It knows to which of several hosts it is connected. */
  get client(): PgClient {
    return this.#connection.client
  }

  async run<Name extends SessionCommandName>(
    command: SessionCommand<Name>,
    signal?: AbortSignal,
  ): Promise<CommandResults[Name]> {
    if (this.#isEnded) throw refused('the session has ended')
    if (command.command === 'START_BACKUP') this.#role = 'leader'
    if (command.command === 'JOIN_BACKUP') this.#role = 'worker'
    return await this.#ask(command, signal)
  }

  async finish(): Promise<void> {
    if (this.#isEnded) return
    if (this.#connection.isBusy) {
      await this.abort()
      throw refused('the session was ended while a command was running, and so aborted')
    }
    this.#isEnded = true
    try {
      // A goodbye seals the fragment as well, but is not answered.
      if (this.#role === 'worker') await this.#ask({ command: 'LEAVE_BACKUP' })
    } finally {
      await this.#connection.close()
    }
  }

  async abort(): Promise<void> {
    if (this.#isEnded) return
    this.#isEnded = true
    if (this.#role === 'leader' && !this.#connection.isLost) await this.#abortBackup()
    this.#connection.destroy()
  }

  /** So that the server is out of backup mode when this resolves. Should that fail, the loss of the connection does it. */
  async #abortBackup(): Promise<void> {
    const timer = setTimeout(() => this.#connection.destroy(), GRACE_MS)
    try {
      if (this.#connection.isBusy) await this.#connection.cancel()
      await this.#ask({ command: 'ABORT_BACKUP' })
    } catch {
      // There is an error on its way already.
    } finally {
      clearTimeout(timer)
    }
  }

  async #ask<Name extends SessionCommandName>(
    command: SessionCommand<Name>,
    signal?: AbortSignal,
  ): Promise<CommandResults[Name]> {
    const { decode } = commandContracts[command.command].result
    const input = 'manifest' in command && typeof command.manifest === 'object' ? command.manifest : undefined
    return await decode(this.#connection.run(formatCommand(command), signal, input), command)
  }
}
