import type { PgClient } from '../pg-connection.js'
import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { connect } from '../connect.js'
import type { ConnectionOptions } from '../settings/connection-options.js'
import { onOneLine } from '../server-error.js'

/** The parameter in which an agent reports which one it is, in words, other than all others. */
export const AGENT_PARAMETER = 'pbmanifest_agent'

/**
 * Connects to an agent: see {@link connect}.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function connectAgent(agent: ConnectionOptions, signal: AbortSignal): Promise<PgClient> {
  try {
    return await connect(agent, { replication: 'true', signal })
  } catch (error) {
    if (!isPbManifestError(error) || error.code !== 'SERVER') throw error
    // There are two servers, and the message does not tell which of them.
    throw new PbManifestError(error.code, `could not connect to the agent: ${error.message}`, {
      details: error.details,
      cause: error.cause,
    })
  }
}

/** Which agent this is; `undefined`: it does not tell. */
export function identifyAgent(client: PgClient): string | undefined {
  return client.connection.parameters.get(AGENT_PARAMETER)
}

/**
 * @param expected - what {@link identifyAgent} gave for the leader's
 * @throws {@link PbManifestError} `SERVER` when this is another agent, which does not know of the backup
 */
export function requireAgent(client: PgClient, expected: string | undefined): void {
  const found = identifyAgent(client)
  if (expected === undefined || found === undefined || found === expected) return
  throw new PbManifestError(
    'SERVER',
    'a connection reached another agent than the one that leads the backup',
    {
      details: [
        `The backup is led by ${onOneLine(expected)}.`,
        `The connection reached ${onOneLine(found)}.`,
      ],
      hint: 'A load balancer, or an address that moves, may be between: connect to one agent itself. Or the agent was restarted.',
    },
  )
}
