import { isIP } from 'node:net'
import { PbManifestError } from '../../../errors.js'
import {
  type ConnectionEnvironment,
  type ConnectionSettings,
  resolveConnection,
  type ResolvedConnection,
} from './resolve-connection.js'
import { isConnectionUri } from './conninfo.js'

/** Of an agent that was not told another: that of the database server, and one more. */
const DEFAULT_AGENT_PORT = 5433

/** These say where the database server is, and how it is chosen of several: not where the agent is. */
const ofDatabase = [
  'PGHOST',
  'PGHOSTADDR',
  'PGPORT',
  'PGDATABASE',
  'PGSERVICE',
  'PGSERVICEFILE',
  'PGOPTIONS',
  'PGTARGETSESSIONATTRS',
  'PGLOADBALANCEHOSTS',
] as const

/** Who connects to the agent, unless its connection string says otherwise. */
export type AgentUser = Pick<ConnectionSettings, 'user' | 'password' | 'ioTimeout'>

/** An agent that is at work says so every 5 s: its silence tells nothing before this time, in seconds. */
const SHORTEST_IO_TIMEOUT = 15

/**
 * Works out how to connect to an agent: as libpq does, but without what the environment says of the database server's
 * place.
 *
 * @param agent - HOST:PORT, the directory of a Unix socket, or a connection string or URI
 * @throws {@link PbManifestError} `USAGE` or `IO`, as {@link resolveConnection}
 */
export function resolveAgent(
  agent: string,
  { user, password, ioTimeout = 0 }: AgentUser,
  environment: ConnectionEnvironment,
): ResolvedConnection {
  const variables = Object.fromEntries(
    Object.entries(environment.variables).filter(([name]) => !ofDatabase.some((one) => one === name)),
  )
  return resolveConnection(
    {
      ...readPlace(agent),
      ...(password !== undefined && { password }),
      ...(ioTimeout > 0 && { ioTimeout: Math.max(ioTimeout, SHORTEST_IO_TIMEOUT) }),
    },
    {
      ...environment,
      variables: { ...variables, PGPORT: String(DEFAULT_AGENT_PORT), ...(user && { PGUSER: user }) },
    },
  )
}

function readPlace(agent: string): ConnectionSettings {
  if (agent.includes('=') || isConnectionUri(agent)) return { conninfo: agent }
  if (agent.startsWith('/') || isIP(agent) !== 0) return { host: agent }
  const found = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::([0-9]+))?$/.exec(agent)
  const host = found?.[1] ?? found?.[2]
  if (host === undefined) {
    throw new PbManifestError('USAGE', `invalid agent "${agent}"`, {
      hint: 'It is HOST:PORT, the directory of a Unix socket, or a connection string.',
    })
  }
  return { host, ...(found?.[3] !== undefined && { port: found[3] }) }
}
