import type { ConnectionOptions } from '../../src/transfer/connection/settings/connection-options.js'
import { findServer, type SqlClient } from '../../src/transfer/connection/gate/connect-sql.js'
import { resolveConnection } from '../../src/transfer/connection/settings/resolve-connection.js'
import type { Cluster } from './cluster.js'

interface SqlUser {
  readonly user?: string
  readonly database?: string
}

/** The options of a connection. */
export function sqlConnection(
  cluster: Cluster,
  { user = 'postgres', database = 'postgres' }: SqlUser = {},
): ConnectionOptions {
  const { options } = resolveConnection(
    { host: cluster.socketDirectory, user, conninfo: database },
    { variables: {}, homeDirectory: '/nonexistent', userName: undefined },
  )
  return options
}

/** A connection that has passed the gate, as the first of a run. */
export async function connectSql(cluster: Cluster, user: SqlUser = {}): Promise<SqlClient> {
  const { client } = await findServer(sqlConnection(cluster, user))
  return client
}
