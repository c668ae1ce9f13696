import { spawn } from 'node:child_process'
import { closeSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from 'pg'
import { throwIfAborted } from '../files/yielder.js'
import { nearestVersion } from '../postgres/versions.js'
import type { DrillCheck } from './report.js'
import {
  CheckNotDone,
  describeError,
  Findings,
  isOfBackup,
  isOfLibrary,
  isReported,
  listDatabases,
  type RunningServer,
  withClient,
} from './running-server.js'
import { PbManifestError } from '../errors.js'
import { NotARegularFileError, openRegularFile } from '../files/open-regular-file.js'
import { displayPathname } from '../files/pathname.js'
import { ioError } from '../files/system-error.js'
import { drillPort, sessionOptions } from './server-settings.js'

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
    try {
      await withClient(server, database, async (client) => {
        findings.objects += await checkDatabase(client, server, (relation, message) =>
          findings.add({ database, relation, message }),
        )
      })
    } catch (error) {
      if (!isOfBackup(error)) throw error
      findings.add({ database, message: describeError(error) })
    }
  }
  return findings.conclude('amcheck')
}

/** Looks at all that amcheck can look at, in the database of the connection. @returns how many relations */
async function checkDatabase(
  client: Client,
  { major, signal }: RunningServer,
  add: (relation: string, message: string) => void,
): Promise<number> {
  const schema = await makeAmcheck(client)
  const relations = await listRelations(client, major)
  for (const { name, oid, kind } of relations) {
    throwIfAborted(signal)
    try {
      const sql =
        kind === 'i'
          ? `SELECT ${schema}.bt_index_check($1::pg_catalog.oid::pg_catalog.regclass, true)`
          : `SELECT blkno, offnum, attnum, msg FROM ${schema}.verify_heapam($1::pg_catalog.oid::pg_catalog.regclass)`
      const { rows } = await client.query<HeapProblem>(sql, [oid])
      for (const row of kind === 'i' ? [] : rows) add(name, describeHeapProblem(row))
    } catch (error) {
      // Damage shows in errors of any kind, where a function of a type meets a value that is none.
      if (!isReported(error)) throw error
      if (isOfLibrary(error))
        throw new CheckNotDone(`amcheck could not look at "${name}": ${describeError(error)}`)
      add(name, describeError(error))
    }
  }
  return relations.length
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
    if (isOfBackup(error)) throw error
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
  const tables = nearestVersion(major).canCheckTables
    ? `OR (c.relkind IN ('r', 'm', 't') AND a.amname = 'heap')`
    : ''
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

/**
 * Runs a file of SQL: by psql where the server has it, else as it stands.
 *
 * @throws {@link CheckNotDone}, {@link PbManifestError} `IO`
 */
export async function checkBySql(server: RunningServer, file: string): Promise<DrillCheck> {
  const findings = new Findings()
  findings.objects = 1
  const { database } = server
  const psql = join(server.programs.bindir, 'psql')
  if (existsSync(psql)) {
    const { status, said } = await runPsql(psql, server, file)
    // @see src/bin/psql/settings.h: 1 is a failure of its own, 2 a lost connection, 3 an error in the script.
    if (status === 1 || status === undefined)
      throw new CheckNotDone(`psql failed: ${said.at(-1) ?? 'it said nothing'}`)
    if (status !== 0) findings.add({ database, message: said.join('\n') })
    return findings.conclude('sql')
  }
  await withClient(server, database, async (client) => {
    try {
      await client.query(readSql(file))
    } catch (error) {
      findings.add({ database, message: describeError(error) })
    }
  })
  return findings.conclude('sql')
}

/** @throws {@link PbManifestError} `IO` when it cannot be read */
export function readSql(file: string): string {
  try {
    const { descriptor } = openRegularFile(file)
    try {
      return readFileSync(descriptor, 'utf8')
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    if (error instanceof NotARegularFileError) {
      throw new PbManifestError(
        'IO',
        `could not open file "${displayPathname(file)}": it is not a regular file`,
      )
    }
    throw ioError(`could not open file "${displayPathname(file)}"`, error)
  }
}

async function runPsql(
  psql: string,
  { socketDirectory, username, database, user, major, signal }: RunningServer,
  file: string,
): Promise<{ status: number | undefined; said: string[] }> {
  const { descriptor } = openRegularFile(file)
  try {
    const child = spawn(psql, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', '-'], {
      cwd: '/',
      env: {
        PATH: '/usr/bin:/bin',
        LC_ALL: 'C.UTF-8',
        PGHOST: socketDirectory,
        PGPORT: String(drillPort),
        PGUSER: username,
        PGDATABASE: database,
        PGOPTIONS: sessionOptions(major),
      },
      stdio: [descriptor, 'ignore', 'pipe'],
      ...(user !== undefined && { uid: user.uid, gid: user.gid }),
    })
    const stop = (): void => void child.kill('SIGTERM')
    signal?.addEventListener('abort', stop)
    const chunks: Buffer[] = []
    child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk))
    const status = await new Promise<number | undefined>((resolve) => {
      child.on('error', () => resolve(undefined))
      child.on('close', (code) => resolve(code ?? undefined))
    })
    signal?.removeEventListener('abort', stop)
    throwIfAborted(signal)
    const said = Buffer.concat(chunks).toString('utf8').split('\n')
    return { status, said: said.filter((line) => line !== '').slice(-20) }
  } finally {
    closeSync(descriptor)
  }
}
