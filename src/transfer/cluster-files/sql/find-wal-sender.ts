import type { WalSenderSearch } from '../../connection/gate/connect-replication.js'
import {
  describeServer,
  type ServerDescription,
  serverDescription,
} from '../../connection/gate/server-identity.js'
import type { SqlConnection } from './sql-connection.js'

/**
 * Looks for a WAL sender on this server by its application name, which every role may see.
 *
 * @throws {@link PbManifestError} `SERVER`
 */
export async function findWalSender(
  connection: SqlConnection,
  applicationName: string,
): Promise<WalSenderSearch> {
  const [row] = await connection.rows<ServerDescription & { readonly found: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE application_name = $1) AS found, ${serverDescription}`,
    [applicationName],
  )
  return { found: row?.found === true, server: row === undefined ? 'another server' : describeServer(row) }
}
