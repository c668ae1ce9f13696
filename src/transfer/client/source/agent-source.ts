import type { ConnectionOptions } from '../../connection/connection-options.js'
import { identifyAgent, requireAgent } from '../../connection/gate/connect-agent.js'
import { pinHost } from '../../connection/pin-host.js'
import { RemoteSession } from '../remote/remote-session.js'
import type { FoundAgent, OpenedLeader, OpenOptions, OpenedWorker } from './source.js'

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
