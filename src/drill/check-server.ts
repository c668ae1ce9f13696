import type { Client, DatabaseError } from 'pg'
import { PbManifestError } from '../errors.js'
import { throwIfAborted } from '../files/yielder.js'
import type { DrillCheck } from './report.js'
import {
  CheckNotDone,
  describeError,
  Findings,
  listDatabases,
  type RunningServer,
  withClient,
} from './running-server.js'

/**
 * Connects to every database.
 *
 * @throws {@link CheckNotDone} when nobody is let in, whatever the backup is
 */
export async function checkDatabases(server: RunningServer): Promise<DrillCheck> {
  const findings = new Findings()
  for (const database of await listDatabases(server)) {
    findings.objects++
    try {
      await withClient(
        server,
        database,
        async (client) => void (await client.query('SELECT count(*) FROM pg_class')),
      )
    } catch (error) {
      findings.add({ database, message: describeError(error) })
    }
  }
  return findings.conclude('databases')
}

/**
 * Has the extension amcheck look at every B-tree index, and every table where it can.
 *
 * @throws {@link CheckNotDone}
 */
export async function checkByAmcheck(server: RunningServer): Promise<DrillCheck> {
  const findings = new Findings()
  for (const database of await listDatabases(server)) {
    await withClient(server, database, async (client) => {
      const schema = await makeAmcheck(client)
      for (const { name, oid, kind } of await listRelations(client, server.major)) {
        throwIfAborted(server.signal)
        findings.objects++
        try {
          const sql =
            kind === 'i'
              ? `SELECT ${schema}.bt_index_check($1::pg_catalog.oid::pg_catalog.regclass, true)`
              : `SELECT blkno, offnum, attnum, msg FROM ${schema}.verify_heapam($1::pg_catalog.oid::pg_catalog.regclass)`
          const { rows } = await client.query<HeapProblem>(sql, [oid])
          if (kind === 'i') continue
          for (const row of rows)
            findings.add({ database, relation: name, message: describeHeapProblem(row) })
        } catch (error) {
          if (!isOfBackup(error)) throw notDone(`amcheck could not look at "${name}"`, error)
          findings.add({ database, relation: name, message: describeError(error) })
        }
      }
    })
  }
  return findings.conclude('amcheck')
}

interface HeapProblem {
  readonly blkno: string | null
  readonly offnum: number | null
  readonly attnum: number | null
  readonly msg: string
}

function describeHeapProblem({ blkno, offnum, attnum, msg }: HeapProblem): string {
  const places = [
    ['block', blkno],
    ['offset', offnum],
    ['attribute', attnum],
  ].flatMap(([what, number]) => (number === null ? [] : [`${what} ${number}`]))
  return `heap table, ${places.join(', ')}: ${msg}`
}

/** @returns the schema that it is in, quoted */
async function makeAmcheck(client: Client): Promise<string> {
  try {
    await client.query('CREATE EXTENSION IF NOT EXISTS amcheck')
    const { rows } = await client.query<{ schema: string }>(
      `SELECT pg_catalog.quote_ident(n.nspname) AS schema
       FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
       WHERE e.extname = 'amcheck'`,
    )
    return rows[0]?.schema ?? 'public'
  } catch (error) {
    throw new CheckNotDone(
      `the extension amcheck cannot be used: ${describeError(error)}`,
      'It comes with the contrib modules of the server.',
    )
  }
}

/** B-tree indexes that are in use; tables, where their pages can be checked: with their TOAST tables. */
async function listRelations(
  client: Client,
  major: number,
): Promise<{ readonly name: string; readonly oid: number; readonly kind: string }[]> {
  const tables = major >= 14 ? `OR (c.relkind IN ('r', 'm', 't') AND a.amname = 'heap')` : ''
  const { rows } = await client.query<{ name: string; oid: number; kind: string }>(
    `SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS name, c.oid, c.relkind AS kind
     FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
       LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
     WHERE c.relpersistence = 'p'
       AND ((c.relkind = 'i' AND a.amname = 'btree' AND i.indisready AND i.indisvalid) ${tables})
     ORDER BY c.oid`,
  )
  return rows
}

/** Whether an error tells of damaged data: what the server cannot read, or finds corrupted. */
function isOfBackup(error: unknown): boolean {
  const { code, message = '' } = error as Partial<DatabaseError>
  if (code === undefined) return false
  // Of a library that is missing, the class is the same as of a data file that is.
  if (/could not (?:access|load)/.test(message)) return false
  return /^(?:XX|58)/.test(code) || code === '08P01'
}

function notDone(what: string, error: unknown): unknown {
  if (error instanceof PbManifestError) return error
  return new CheckNotDone(`${what}: ${describeError(error)}`)
}
