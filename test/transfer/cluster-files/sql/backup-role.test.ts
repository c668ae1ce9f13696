import { readFileSync } from 'node:fs'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { SqlBackupMode } from '../../../../src/transfer/cluster-files/sql/sql-backup-mode.js'
import { findSpecialFiles } from '../../../../src/transfer/cluster-files/sql/special-file-search.js'
import { SqlClusterFiles } from '../../../../src/transfer/cluster-files/sql/sql-cluster-files.js'
import type { SqlClient } from '../../../../src/transfer/connection/gate/connect-sql.js'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { poll } from '../../../helpers/poll.js'
import { embeddedPostgres, type PostgresPrograms } from '../../../helpers/postgres-programs.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { mustRun } from '../../../helpers/run-program.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'
import { connectSql, sqlConnection } from '../../../helpers/sql-client.js'
import { tablespaceMappings } from '../../../helpers/tablespace-mappings.js'
import { runBackupProgram } from '../../client/backup-program.js'
import { listEverything, readAll } from './live-cluster.js'

const timeout = 240_000
const script = readFileSync('docs/backup-role.sql', 'utf8')

/** Everything that a backup does on the server. */
async function doEverything(connect: () => Promise<SqlClient>): Promise<number> {
  const mode = await SqlBackupMode.open(connect)
  onTestFinished(() => mode.close())
  const files = await SqlClusterFiles.open(connect)
  onTestFinished(() => files.close())
  await mode.start({ label: 'least privileges', fast: true })
  const listed = (await listEverything(files)).filter(({ kind }) => kind === 'file')
  const read = await readAll(files, listed)
  await mode.stop({ waitForArchive: false })
  await mode.timelineHistory(2)
  await files.listTablespaces({ withSizes: true })
  await files.listWalFiles()
  await files.rereadPage('base/5/1259', 0)
  return read.length
}

const privileges: readonly [string, string][] = [
  ['EXECUTE ON FUNCTION pg_backup_start(text, boolean)', 'pg_catalog.pg_backup_start(text, boolean)'],
  ['EXECUTE ON FUNCTION pg_backup_stop(boolean)', 'pg_catalog.pg_backup_stop(boolean)'],
  ['EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean)', 'pg_catalog.pg_ls_dir(text, boolean, boolean)'],
  ['EXECUTE ON FUNCTION pg_stat_file(text, boolean)', 'pg_catalog.pg_stat_file(text, boolean)'],
  [
    'EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean)',
    'pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)',
  ],
  ['EXECUTE ON FUNCTION pg_ls_waldir()', 'pg_catalog.pg_ls_waldir()'],
]

function tests(programs: () => PostgresPrograms | Promise<PostgresPrograms>): void {
  let cluster: Cluster
  const connect = (): Promise<SqlClient> => connectSql(cluster, { user: 'pbmanifest' })
  beforeAll(async () => {
    cluster = await createCluster(await programs())
    await cluster.createTablespace('fast')
    await cluster.sql('CREATE TABLE elsewhere TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n')
    await cluster.sql(script)
    await symlink(await cluster.makeDirectory('logs'), join(cluster.dataDirectory, 'log'))
    await mustRun('mkfifo', [join(cluster.dataDirectory, 'fifo')])
  }, timeout)
  afterAll(() => cluster.remove())

  test(
    'the role of docs/backup-role.sql can do all that a backup does, and not read tables',
    { timeout },
    async () => {
      expect(await doEverything(connect)).toBeGreaterThan(600)
      const [role] = await cluster.sql<{ rolsuper: boolean }>(
        `SELECT rolsuper FROM pg_roles WHERE rolname = 'pbmanifest'`,
      )
      expect(role?.rolsuper).toBe(false)
      const client = await connect()
      await expect(client.query('SELECT FROM public.elsewhere')).rejects.toThrow(
        'permission denied for table elsewhere',
      )
      await expect(client.query(`SELECT pg_read_binary_file('/etc/passwd', 0, 1, true)`)).rejects.toThrow(
        'absolute path not allowed',
      )
      await client.end()
    },
  )

  test.each(['stream', 'fetch'])('it takes a backup with -X %s', { timeout }, async (method) => {
    const scratch = createScratchDirectory()
    onTestFinished(() => scratch.remove())
    const mappings = await tablespaceMappings(cluster, join(scratch.path, 'tablespaces'))
    const { status, stdout, stderr } = await runBackupProgram(cluster, {
      directory: join(scratch.path, 'data'),
      args: [
        '--username=pbmanifest',
        '--jobs=2',
        `--wal-method=${method}`,
        ...mappings.map(({ from, to }) => `--tablespace-mapping=${from}=${to}`),
      ],
    })
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringContaining('backup successfully verified'),
    })
    expect(stderr.split('\n').toSorted()).toEqual([
      '',
      ...['fifo', 'log'].map((name) => `pbmanifest: warning: skipping special file "./${name}"`),
    ])
  })

  test('it is told links and special files, and backup mode goes on', { timeout }, async () => {
    const mode = await SqlBackupMode.open(connect)
    onTestFinished(() => mode.close())
    await mode.start({ label: 'links', fast: true })
    const found = await findSpecialFiles(
      {
        connection: sqlConnection(cluster, { user: 'pbmanifest' }),
        proof: async () => ({
          ...(await mode.facts()),
          findWalSender: (name) => mode.findWalSender(name),
        }),
        onNotice: ({ message }) => expect.unreachable(message),
        signal: AbortSignal.timeout(timeout),
      },
      ['fifo', 'log'],
    )
    expect(found).toEqual(new Set(['fifo', 'log']))
    await poll('its WAL sender to be gone', async () => {
      const rows = await cluster.sql(`SELECT FROM pg_stat_activity WHERE backend_type = 'walsender'`)
      return rows.length === 0
    })
    const { backupLabel } = await mode.stop({ waitForArchive: false })
    expect(backupLabel.toString()).toContain('LABEL: links')
  })

  test.each(privileges)(
    'without %s it says so, and how to grant it',
    { timeout },
    async (privilege, signature) => {
      await cluster.sql(`REVOKE ${privilege} FROM pbmanifest`)
      onTestFinished(async () => {
        await cluster.sql(`GRANT ${privilege} TO pbmanifest`)
      })
      const name = /pg_[a-z_]+/.exec(privilege)?.[0] ?? ''
      await expect(doEverything(connect)).rejects.toMatchObject({
        code: 'SERVER',
        message: `permission denied for function ${name}`,
        hint: expect.stringContaining(`GRANT EXECUTE ON FUNCTION ${signature} TO "pbmanifest"`),
      })
    },
  )

  test('without pg_read_all_settings it works all the same', { timeout }, async () => {
    await cluster.sql('REVOKE pg_read_all_settings FROM pbmanifest')
    onTestFinished(async () => {
      await cluster.sql('GRANT pg_read_all_settings TO pbmanifest')
    })
    expect(await doEverything(connect)).toBeGreaterThan(600)
  })
}

describeWithDebianPostgres('PostgreSQL 15, the role that takes backups', (programs) => tests(() => programs))
describe('PostgreSQL 18, the role that takes backups', () => {
  tests(embeddedPostgres)
})
