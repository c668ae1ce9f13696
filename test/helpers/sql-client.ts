import { findServer, type SqlClient } from '../../src/transfer/connection/gate/connect-sql.js'
import { resolveConnection } from '../../src/transfer/connection/resolve-connection.js'
import type { Cluster } from './cluster.js'

/** A connection that has passed the gate, as the first of a run. */
export async function connectSql(
  cluster: Cluster,
  { user = 'postgres', database = 'postgres' }: { readonly user?: string; readonly database?: string } = {},
): Promise<SqlClient> {
  const { options } = resolveConnection(
    { host: cluster.socketDirectory, user, conninfo: database },
    { variables: {}, homeDirectory: '/nonexistent', userName: undefined },
  )
  const { client } = await findServer(options)
  return client
}
