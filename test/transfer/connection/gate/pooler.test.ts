import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { connectToServer, findServer } from '../../../../src/transfer/connection/gate/connect-sql.js'
import { createCluster } from '../../../helpers/cluster.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'
import { type PoolerOptions, TransactionPooler } from '../../../helpers/transaction-pooler.js'
import { resolve } from '../settings/resolve.js'

const timeout = 240_000

const settingsThatMatter = `
  SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) AS settings, pg_backend_pid() AS pid
    FROM pg_settings WHERE source = 'session' OR name IN ('search_path', 'client_encoding', 'work_mem', 'statement_timeout')`

describeWithDebianPostgres('a transaction pooler', (programs) => {
  test.each<[string, PoolerOptions, string]>([
    [
      'that makes up process IDs',
      { processId: 'made-up' },
      'there is a connection pooler between us and the server',
    ],
    [
      'that gives the process ID of one of its connections',
      { processId: 'of-a-backend' },
      'there is a connection pooler between us and the server',
    ],
    [
      'that refuses settings',
      { processId: 'made-up', refusesOptions: true },
      'FATAL:  unsupported startup parameter: options',
    ],
  ])('%s is refused, and nothing stays behind', { timeout }, async (_, options, message) => {
    const cluster = await createCluster(programs)
    onTestFinished(() => cluster.remove())
    const scratch = createScratchDirectory()
    onTestFinished(() => scratch.remove())
    const pooler = await TransactionPooler.listen(scratch.path, cluster, options)
    onTestFinished(() => pooler.close())
    const connection = resolve({ host: scratch.path, user: 'postgres', conninfo: 'postgres' }).options
    const [before] = await cluster.sql<{ settings: string }>(settingsThatMatter)
    const refusal = {
      code: 'SERVER',
      message: expect.stringContaining(message),
      hint: expect.stringContaining('connect to the server itself'),
    }
    // Both places in the pooler's turn.
    await expect(findServer(connection)).rejects.toMatchObject(refusal)
    await expect(findServer(connection)).rejects.toMatchObject(refusal)
    const identity = { lockKey: 1n, majorVersion: programs.major, description: 'another' }
    await expect(connectToServer({ connection, identity })).rejects.toMatchObject(refusal)
    const application = new Client({ host: scratch.path, user: 'postgres', ssl: false })
    application.on('error', () => {})
    await application.connect()
    const seen = [
      (await application.query<{ settings: string; pid: number }>(settingsThatMatter)).rows[0],
      (await application.query<{ settings: string; pid: number }>(settingsThatMatter)).rows[0],
    ]
    expect(new Set(seen.map((row) => row?.pid)).size).toBe(2)
    expect(seen.map((row) => row?.settings)).toEqual([before?.settings, before?.settings])
    expect(await cluster.sql(`SELECT FROM pg_locks WHERE locktype = 'advisory'`)).toEqual([])
    application.connection.stream.destroy()
  })
})
