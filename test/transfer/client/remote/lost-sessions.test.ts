import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import * as path from 'node:path'
import type { Client } from 'pg'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { FaultProxy } from '../../../helpers/fault-proxy.js'
import { poll } from '../../../helpers/poll.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { createScratchDirectory, type ScratchDirectory } from '../../../helpers/scratch-directory.js'
import { AgentProgram } from '../../agent/agent-program.js'
import { PsqlSession } from '../../agent/psql-session.js'
import { rowsOf, startBackup } from '../../agent/rows.js'
import { expectNothingLeft, runBackupProgram } from '../backup-program.js'

describeWithDebianPostgres('a worker of an agent whose connection is lost', (programs) => {
  let cluster: Cluster
  let agent: AgentProgram
  let scratch: ScratchDirectory
  const clients: Client[] = []

  beforeAll(async () => {
    cluster = await createCluster(programs)
    await cluster.sql(
      `CREATE TABLE large AS SELECT n, repeat(md5(n::text), 8) AS filler FROM generate_series(1, 30000) AS n; CHECKPOINT`,
    )
    agent = await AgentProgram.start(cluster)
    scratch = createScratchDirectory()
  })

  afterEach(async () => {
    for (const client of clients.splice(0)) await client.end()
    await poll('the fragments to be gone', () => Promise.resolve(agent.fragments().length === 0))
  })

  afterAll(async () => {
    if (agent.process.exitCode === null) await agent.stop('SIGKILL')
    await cluster.remove()
    scratch.remove()
  })

  async function connect(): Promise<Client> {
    const client = await agent.connect()
    clients.push(client)
    return client
  }

  async function lead(options = ''): Promise<{ leader: PsqlSession; id: string }> {
    const leader = new PsqlSession(agent)
    const [start = []] = await leader.rows(`START_BACKUP FAST ${options}`, 3)
    return { leader, id: String(start[0]) }
  }

  async function largeFile(): Promise<string> {
    const [row] = await cluster.sql<{ pathname: string }>(`SELECT pg_relation_filepath('large') AS pathname`)
    return row?.pathname ?? ''
  }

  test('is replaced before the agent knows that it is gone, and each file is in the manifest once', async () => {
    const { leader, id } = await lead()
    const session = newId()
    const [first, second] = [await connect(), await connect()]
    const told = once(first, 'error')
    expect(await join(first, `'${id}' SESSION '${session}'`)).toBe('1')
    await send(first, 'PG_VERSION', 'base/1/PG_VERSION', 'postgresql.conf')
    // Of three files that were sent, two came whole: the third is sent again.
    expect(await join(second, `'${id}' SESSION '${session}' RECEIVED 2`)).toBe('1')
    expect(await told).toMatchObject([
      { code: '57P01', message: 'terminating connection because another session has taken its place' },
    ])
    await send(second, 'postgresql.conf')
    // A psql can do the same, and a third time nothing is left of what came before.
    const third = new PsqlSession(agent)
    expect(await third.rows(`join_backup '${id}' received 3 session '${session}'`, 1)).toEqual([
      [Buffer.from('1')],
    ])
    await third.run("SEND_FILE ('pg_hba.conf')")
    await third.run('LEAVE_BACKUP')
    await third.quit()
    expect(await complete(leader, id)).toEqual([
      'PG_VERSION',
      'backup_label',
      'base/1/PG_VERSION',
      'pg_hba.conf',
      'postgresql.conf',
    ])
    await leader.quit()
  })

  test('is replaced in the middle of a file that its client does not take', async () => {
    const { leader, id } = await lead('MAX_RATE 32')
    const session = newId()
    const [slow, next] = [await connect(), await connect()]
    await join(slow, `'${id}' SESSION '${session}'`)
    const failure = send(slow, await largeFile()).catch((error: unknown) => error)
    await poll('bytes to be sent', async () => {
      const [backup] = await rowsOf(next, 'LIST_BACKUPS')
      return Number(backup?.['bytes']) > 0
    })
    expect(await join(next, `'${id}' SESSION '${session}'`)).toBe('1')
    expect(await failure).toMatchObject({ code: '57P01' })
    await next.query('LEAVE_BACKUP')
    expect(await complete(leader, id)).toEqual(['backup_label'])
    await leader.quit()
  })

  test('can be replaced by nobody who does not know its id, and by nobody once it has left', async () => {
    const leader = await connect()
    const id = await startBackup(leader)
    const session = newId()
    const [worker, stranger] = [await connect(), await connect()]
    await join(worker, `'${id}' SESSION '${session}'`)
    await send(worker, 'PG_VERSION')
    // What the agent has not recorded, nobody has received; the worker's own session is over then.
    await expect(join(stranger, `'${id}' SESSION '${newId()}' RECEIVED 1`)).rejects.toMatchObject({
      code: '58030',
      message: expect.stringMatching(/^could not read file ".*": No such file or directory$/),
    })
    expect(await join(await connect(), `'${id}' SESSION '${newId()}'`)).toBe('3')
    await send(worker, 'postgresql.conf')
    await worker.query('LEAVE_BACKUP')
    await expect(join(stranger, `'${id}' SESSION '${session}' RECEIVED 2`)).rejects.toMatchObject({
      code: '42710',
      message: 'worker 1 has left the backup already',
    })
    await rowsOf(leader, 'STOP_BACKUP NOWAIT')
    await expect(join(stranger, `'${id}' SESSION '${newId()}'`)).rejects.toMatchObject({
      code: '55000',
      message: expect.stringMatching(/: it was stopped already$/),
    })
    await expect(leader.query(`BUILD_MANIFEST '${id}'`)).rejects.toMatchObject({
      message: 'the manifest cannot be built: 2 of 4 sessions of the backup have not finished',
    })
  })

  test('does not come back with more than was sent, nor to a backup that is stopped', async () => {
    const leader = await connect()
    const id = await startBackup(leader)
    const session = newId()
    const [worker, next] = [await connect(), await connect()]
    await join(worker, `'${id}' SESSION '${session}'`)
    await send(worker, 'PG_VERSION')
    await expect(join(next, `'${id}' SESSION '${session}' RECEIVED 2`)).rejects.toMatchObject({
      code: 'XX001',
      message: 'the session that is gone has recorded 1 files, and not 2',
    })
    expect(await join(next, `'${id}' SESSION '${session}' RECEIVED 1`)).toBe('1')
    await rowsOf(leader, 'STOP_BACKUP NOWAIT')
    await expect(join(worker, `'${id}' SESSION '${session}' RECEIVED 1`)).rejects.toMatchObject({})
    await expect(join(await connect(), `'${id}' SESSION '${session}' RECEIVED 1`)).rejects.toMatchObject({
      code: '55000',
    })
    // Who has the place, still has it.
    await next.query('LEAVE_BACKUP')
    await leader.query(`BUILD_MANIFEST '${id}'`)
  })

  // In the header of a COPY, in the middle of a file, between files, and with nothing left to come but the end.
  test('comes back, wherever the answer was cut, and goes on with the files that are missing', async () => {
    const proxy = await FaultProxy.start(agent.socketDirectory, agent.port)
    const directory = path.join(scratch.path, 'backup')
    const large = await largeFile()
    // What follows a cut comes through, so that it does not have to wait longer each time.
    const cuts = [3, 2_000_000, undefined, 300_000, undefined, 9, undefined, 16_500, undefined, 70_000]
    proxy.limit = ({ text }) => {
      if (text.startsWith('SEND_FILE')) return cuts.shift()
      // The agent has sealed the fragment, and the worker does not hear of it.
      return text === 'LEAVE_BACKUP' ? leaveAnswers.shift() : undefined
    }
    const leaveAnswers = [0]
    try {
      const args = ['--jobs=1', '--verify', `--agent=${proxy.directory}`, '--output=json']
      const result = await runBackupProgram(cluster, { directory, args })
      expect(result.stderr.split('\n').filter((line) => !line.includes('has connected again'))).toEqual([''])
      expect(result.status).toBe(0)
      expect(JSON.parse(result.stdout)).toMatchObject({
        workers: [{ reconnects: 6 }],
        verification: { verdict: 'verified' },
      })
      for (const name of [large, 'postgresql.conf']) {
        expect(digest(await readFile(path.join(directory, name)))).toBe(
          digest(await readFile(path.join(cluster.dataDirectory, name))),
        )
      }
      await expectNothingLeft(cluster)
    } finally {
      proxy.close()
    }
  })
})

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function newId(): string {
  return randomBytes(16).toString('hex')
}

async function join(client: Client, options: string): Promise<string | null | undefined> {
  const [row] = await rowsOf(client, `JOIN_BACKUP ${options}`)
  return row?.['worker']
}

async function send(client: Client, ...pathnames: readonly string[]): Promise<void> {
  await client.query(`SEND_FILE (${pathnames.map((name) => `'${name}'`).join(', ')})`)
}

/** Stops the backup; returns the pathnames in its manifest. */
async function complete(leader: PsqlSession, id: string): Promise<string[]> {
  await leader.run('STOP_BACKUP NOWAIT')
  const manifest = String(await leader.run(`BUILD_MANIFEST '${id}'`))
  return [...manifest.matchAll(/"Path": "([^"]*)"/g)].map(([, pathname = '']) => pathname)
}
