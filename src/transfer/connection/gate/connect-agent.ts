import type { Client } from 'pg'
import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { connect } from '../connect.js'
import type { ConnectionOptions } from '../connection-options.js'

/**
 * Connects to an agent: see {@link connect}.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function connectAgent(agent: ConnectionOptions, signal: AbortSignal): Promise<Client> {
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
