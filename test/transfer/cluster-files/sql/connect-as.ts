import { Client } from 'pg'
import type { Cluster } from '../../../helpers/cluster.js'

/** A connection as another role than the superuser. */
export async function connectAs(cluster: Cluster, user: string): Promise<Client> {
  const client = new Client({ ...cluster.connectionOptions(), user })
  client.on('error', () => {})
  await client.connect()
  return client
}
