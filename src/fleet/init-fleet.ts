import { throwIfAborted } from '../files/yielder.js'
import { ask } from '../transfer/connection/answer-watch.js'
import { connectToDatabase } from '../transfer/connection/gate/connect-sql.js'
import { endConnection } from '../transfer/connection/pg-connection.js'
import { serverError } from '../transfer/connection/server-error.js'
import { version } from '../version.js'
import { type FleetConnection, loadPgBoss } from './fleet-queue.js'
import { attemptAt, DEFAULT_SCHEMA, fleetTables, readVersion, requireSchemaName } from './fleet-schema.js'

/**
 * Makes a queue, unless there is one. The schema is made, too, where it is not there.
 *
 * @returns whether it was made
 * @throws {@link PbManifestError} `SERVER`, also for a queue of a version that this one does not know; `USAGE` when `pg-boss` is
 * not installed; `ABORTED`
 */
export async function initFleet(
  options: Omit<FleetConnection, 'onConnection'>,
  signal?: AbortSignal,
): Promise<boolean> {
  const schema = requireSchemaName(options.schema ?? DEFAULT_SCHEMA)
  const boss = await loadPgBoss()
  const client = await connectToDatabase(options.connection, signal)
  try {
    if ((await readVersion(client, schema)) !== undefined) return false
    const [row] = await ask<{ has: boolean }>(client, {
      text: 'SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1) AS has',
      values: [schema],
    })
    const plans = boss.getConstructionPlans(schema)
    // A role that only owns the schema may not ask for one, not even for one that is there.
    const withoutSchema = plans.replace(`CREATE SCHEMA IF NOT EXISTS ${schema}`, 'SELECT')
    const tables = fleetTables(schema).replace('@version@', version)
    // In one transaction with the tables of pg-boss, whose statements end with a COMMIT.
    const all = (row?.has === true ? withoutSchema : plans).replace(/COMMIT;\s*$/, `${tables}; COMMIT;`)
    try {
      await ask(client, all)
      return true
    } catch (error) {
      await ask(client, 'ROLLBACK')
      // Somebody else was faster.
      if ((await readVersion(client, schema)) !== undefined) return false
      throw error
    }
  } catch (error) {
    throwIfAborted(signal)
    throw serverError(attemptAt(schema), error)
  } finally {
    await endConnection(client)
  }
}
