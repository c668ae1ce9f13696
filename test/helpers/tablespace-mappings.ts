import { join } from 'node:path'
import type { Cluster } from './cluster.js'

export interface TablespaceMapping {
  readonly oid: string
  /** Where the tablespace of the cluster is. */
  readonly from: string
  /** Where a copy of it goes. */
  readonly to: string
}

/** Gives every user tablespace of a cluster a directory `parent/<oid>` for its copy; the directories are not made. */
export async function tablespaceMappings(
  cluster: Cluster,
  parent: string,
): Promise<readonly TablespaceMapping[]> {
  const rows = await cluster.sql<{ oid: string; location: string }>(
    `SELECT oid::text, pg_tablespace_location(oid) AS location
       FROM pg_tablespace WHERE pg_tablespace_location(oid) <> '' ORDER BY oid`,
  )
  return rows.map(({ oid, location }) => ({ oid, from: location, to: join(parent, oid) }))
}
