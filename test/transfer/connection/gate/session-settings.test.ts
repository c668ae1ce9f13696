import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { connectToServer, findServer } from '../../../../src/transfer/connection/gate/connect-sql.js'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { embeddedPostgres, type PostgresPrograms } from '../../../helpers/postgres-programs.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'
import { createStandby } from '../../../helpers/standby.js'
import { runBackupProgram } from '../../client/backup-program.js'
import { resolve } from '../settings/resolve.js'

const timeout = 240_000
const role = readFileSync('docs/backup-role.sql', 'utf8')

/** What a role or a database may have. */
const unusual: Readonly<Record<string, string>> = {
  search_path: 'evil, pg_catalog',
  client_encoding: 'LATIN1',
  default_transaction_isolation: 'serializable',
  default_transaction_deferrable: 'on',
  default_transaction_read_only: 'on',
  statement_timeout: '1s',
  lock_timeout: '1s',
  idle_in_transaction_session_timeout: '1s',
  work_mem: '64kB',
  standard_conforming_strings: 'off',
  bytea_output: 'escape',
  DateStyle: 'SQL, DMY',
  client_min_messages: 'error',
  jit: 'on',
}

const usual: Readonly<Record<string, string>> = {
  search_path: 'pg_catalog,pg_temp',
  client_encoding: 'SQL_ASCII',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  default_transaction_read_only: 'off',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  work_mem: '262144',
  standard_conforming_strings: 'on',
  bytea_output: 'hex',
  DateStyle: 'ISO, MDY',
  client_min_messages: 'notice',
  jit: 'off',
}

/** A backup that succeeded, and nobody gained anything by it. */
const good = { status: 0, isSuperuser: false, calls: [] }

/** Those that not all versions have. */
const newer: readonly (readonly [since: number, name: string])[] = [
  [14, 'idle_session_timeout'],
  [17, 'transaction_timeout'],
]

function tests(programs: () => PostgresPrograms | Promise<PostgresPrograms>, hasStandby: boolean): void {
  let cluster: Cluster
  let timeouts: readonly string[]

  beforeAll(async () => {
    cluster = await createCluster(await programs())
    await cluster.sql(role)
    timeouts = newer.filter(([since]) => cluster.programs.major >= since).map(([, name]) => name)
    await cluster.sql('CREATE ROLE mallory LOGIN')
    await cluster.sql('CREATE DATABASE app OWNER mallory')
    await cluster.sql(role.replaceAll(/^CREATE ROLE.*$/gm, ''), 'app')
    await plantObjects(cluster)
    const all = [...Object.entries(unusual), ...timeouts.map((name) => [name, '1s'] as const)]
    for (const [name, value] of all) {
      const shown = name === 'search_path' ? value : `'${value}'`
      await cluster.sql(
        `ALTER ROLE pbmanifest SET ${name} = ${shown}; ALTER DATABASE app SET ${name} = ${shown}`,
      )
    }
    await cluster.sql('ALTER ROLE pbmanifest SET temp_file_limit = 0')
    // A list that does not fit into the role's work_mem.
    const directory = join(cluster.dataDirectory, 'many')
    mkdirSync(directory)
    for (let number = 0; number < 3000; number++) writeFileSync(join(directory, `file ${number}`), '')
    if (cluster.user !== undefined) chownSync(directory, cluster.user.uid, cluster.user.gid)
  }, timeout)
  afterAll(() => cluster.remove())

  async function takeBackup(
    of: Cluster,
  ): Promise<{ status: number | null; stderr: string; isSuperuser: boolean; calls: unknown[] }> {
    const scratch = createScratchDirectory()
    onTestFinished(() => scratch.remove())
    const { status, stderr } = await runBackupProgram(of, {
      directory: join(scratch.path, 'backup'),
      // Slow enough for the watch of the network to look.
      args: ['--jobs=2', '--max-rate=20M'],
      env: { PGUSER: 'pbmanifest', PGDATABASE: 'app' },
    })
    const [mallory] = await cluster.sql<{ rolsuper: boolean }>(
      `SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'`,
    )
    const calls = await cluster.sql('SELECT FROM evil.calls', 'app')
    return { status, stderr, isSuperuser: mallory?.rolsuper === true, calls }
  }

  test('every session has ours, and not those of its role and database', { timeout }, async () => {
    const { options } = resolve({ host: cluster.socketDirectory, user: 'pbmanifest', conninfo: 'app' })
    const first = await findServer(options)
    onTestFinished(() => first.client.end())
    const second = await connectToServer(first.server)
    onTestFinished(() => second.end())
    for (const client of [first.client, second]) {
      const { rows } = await client.query<{ name: string; setting: string }>(
        'SELECT name, setting FROM pg_settings WHERE name = ANY ($1)',
        [[...Object.keys(usual), ...timeouts]],
      )
      expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual({
        ...usual,
        ...Object.fromEntries(timeouts.map((name) => [name, '0'])),
      })
    }
  })

  test('a superuser has no limit of temporary files, and no event triggers', { timeout }, async () => {
    await cluster.sql('ALTER ROLE postgres SET temp_file_limit = 0')
    onTestFinished(async () => void (await cluster.sql('ALTER ROLE postgres RESET temp_file_limit')))
    const { options } = resolve({ host: cluster.socketDirectory, user: 'postgres', conninfo: 'postgres' })
    const { client } = await findServer(options)
    onTestFinished(() => client.end())
    const { rows } = await client.query<{ name: string; setting: string }>(
      `SELECT name, setting FROM pg_settings WHERE name IN ('temp_file_limit', 'event_triggers') ORDER BY name DESC`,
    )
    expect(rows).toEqual([
      { name: 'temp_file_limit', setting: '-1' },
      ...(cluster.programs.major >= 17 ? [{ name: 'event_triggers', setting: 'off' }] : []),
    ])
  })

  test('a backup of a primary, which asks only for PostgreSQL’s own names', { timeout }, async () => {
    const before = readFileSync(cluster.logFile, 'utf8').length
    await cluster.sql(`ALTER ROLE pbmanifest SET log_statement = 'all'`)
    expect(await takeBackup(cluster)).toMatchObject(good)
    const statements = readFileSync(cluster.logFile, 'utf8')
      .slice(before)
      .split(/LOG: {2}(?:statement|execute <unnamed>): /)
      .slice(1)
      .map((text) => text.replace(/\n\d{4}-\d\d-\d\d [^]*/, ''))
    expect(statements.length).toBeGreaterThan(20)
    const unqualified = statements.flatMap((statement) => [...findUnqualified(statement)])
    expect([...new Set(unqualified)]).toEqual([])
  })

  // It is made by pg_basebackup, which not every server here comes with.
  test.runIf(hasStandby)('a backup of a standby, by a role with all of them', { timeout }, async () => {
    const standby = await createStandby(cluster)
    onTestFinished(() => standby.remove())
    expect(await takeBackup(standby)).toMatchObject(good)
  })
}

/** Whoever may make objects in a database makes these, and waits for a superuser or a backup. */
async function plantObjects(cluster: Cluster): Promise<void> {
  await cluster.sql(
    `SET ROLE mallory;
     CREATE SCHEMA evil;
     GRANT USAGE ON SCHEMA evil TO PUBLIC;
     CREATE TABLE evil.calls (name text);
     CREATE FUNCTION evil.called(name text) RETURNS bool LANGUAGE plpgsql SECURITY DEFINER
       AS $$ BEGIN INSERT INTO evil.calls VALUES (name); RETURN true; END $$;
     CREATE VIEW evil.pg_stat_activity AS
       SELECT a.* FROM pg_catalog.pg_stat_activity AS a WHERE evil.called('pg_stat_activity');
     CREATE VIEW evil.pg_settings AS
       SELECT s.* FROM pg_catalog.pg_settings AS s WHERE evil.called('pg_settings');
     CREATE VIEW evil.pg_locks AS SELECT l.* FROM pg_catalog.pg_locks AS l WHERE evil.called('pg_locks');
     CREATE FUNCTION evil.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS $$ SELECT evil.called('recovery') $$;
     CREATE FUNCTION evil.equal(text, text) RETURNS bool LANGUAGE sql AS $$ SELECT evil.called('=') $$;
     CREATE OPERATOR evil.= (FUNCTION = evil.equal, LEFTARG = text, RIGHTARG = text);
     GRANT SELECT ON ALL TABLES IN SCHEMA evil TO PUBLIC;`,
    'app',
  )
}

const keywords = new Set(
  'any array as case cast coalesce copy exists filter format from greatest in join lateral least nullif on over select stdout values where and or not with when then else'.split(
    ' ',
  ),
)

/** Functions and relations whose schema is not named. */
function* findUnqualified(statement: string): Generator<string> {
  const withoutStrings = statement.replaceAll(/'(?:[^']|'')*'/g, "''").replaceAll(/OPERATOR\([^)]*\)/g, '=')
  const aliases = new Set(
    Array.from(withoutStrings.matchAll(/\bAS\s+([a-z_0-9]+)/gi), ([, name]) => name?.toLowerCase()),
  )
  for (const [, name = ''] of withoutStrings.matchAll(/(?<![.\w"])([a-z_][a-z_0-9]*)\s*\(/gi)) {
    if (!keywords.has(name.toLowerCase()) && !aliases.has(name.toLowerCase())) yield `${name}()`
  }
  for (const [, name = ''] of withoutStrings.matchAll(/\b(?:FROM|JOIN)\s+([a-z_][a-z_0-9.]*)/gi)) {
    if (!name.startsWith('pg_catalog.') && !keywords.has(name.toLowerCase())) yield name
  }
}

describeWithDebianPostgres('PostgreSQL 15, settings of sessions', (programs) => {
  tests(() => programs, true)
})
describe('PostgreSQL 18, settings of sessions', () => {
  tests(embeddedPostgres, false)
})
