import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from 'pg'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { poll } from '../../helpers/poll.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { connectBreakableTls } from '../wire/breakable-tls.js'
import { query, RawClient, startup } from '../wire/raw-client.js'
import { AgentProgram, isInBackupMode } from './agent-program.js'
import { makeCertificate } from './make-certificate.js'
import { rowsOf, startBackup } from './rows.js'

/** With so much memory, a thread that lists many files dies. */
const smallHeap = { NODE_OPTIONS: '--max-old-space-size=16' }

describeWithDebianPostgres('pbmanifest serve with hostile clients', (programs) => {
  let cluster: Cluster
  let agent: AgentProgram

  beforeAll(async () => {
    cluster = await createCluster(programs, { walSegmentMegabytes: 1 })
  })

  afterAll(() => cluster.remove())

  afterEach(async () => {
    if (agent.process.exitCode === null) await agent.stop('SIGKILL')
  })

  async function expectNothingLeft(): Promise<void> {
    await poll('the fragments to be gone', () => Promise.resolve(agent.fragments().length === 0))
    await poll('the server to be out of backup mode', async () => !(await isInBackupMode(cluster)))
    expect(await agent.psql(['-Atc', 'LIST_BACKUPS'])).toMatchObject({ status: 0, stdout: '' })
  }

  test('aborts the backup whose leader’s TLS breaks', async () => {
    const { cert, key } = await makeCertificate(cluster.scratch.path, 'agent')
    const tls = ['--listen=127.0.0.1:0', '--insecure', `--tls-cert=${cert}`, `--tls-key=${key}`]
    agent = await AgentProgram.start(cluster, tls)
    const { client, breakRecord } = await connectBreakableTls(await agent.networkPort())
    await client.send(startup({ user: 'joe', replication: '1' })).until('Z')
    await client.send(query('START_BACKUP FAST')).until('Z')
    breakRecord()
    const closed = await agent.untilLogged('connection-closed')
    expect(closed).toMatchObject({ how: 'lost', reason: expect.stringMatching(/^SSL error: /) })
    await agent.untilLogged('backup-aborted')
    await expectNothingLeft()
  })

  test('aborts the backup whose leader’s thread dies, tells its workers, and lets nobody join', async () => {
    const crowd = join(cluster.dataDirectory, 'crowd')
    mkdirSync(crowd)
    for (let file = 0; file < 25_000; file++) writeFileSync(join(crowd, String(file).padStart(240, 'x')), '')
    agent = await AgentProgram.start(cluster, [], smallHeap)
    const [leader, worker] = [await agent.connect(), await agent.connect()]
    const id = await startBackup(leader)
    await rowsOf(worker, `JOIN_BACKUP '${id}'`)
    await worker.query(`SEND_FILE ('PG_VERSION')`)
    const dead = expect.stringContaining('the thread of the session')
    expect(await failureOf(leader, 'LIST_FILES')).toMatchObject({ message: dead })
    expect(await failureOf(worker, `SEND_FILE ('PG_VERSION')`)).toMatchObject({ message: dead })
    const late = await agent.connect()
    expect(await failureOf(late, `JOIN_BACKUP '${id}'`)).toMatchObject({
      message: `could not join backup "${id}": it was aborted`,
    })
    expect(await agent.untilLogged('backup-aborted')).toMatchObject({ sessions: 2, reason: dead })
    await expectNothingLeft()
    // The agent itself goes on.
    await startBackup(late)
    await late.end()
  })

  test('lets others in while silent clients fill all places, and a backup go on', async () => {
    const limits = ['--max-connections=3', '--max-unauthenticated=5']
    agent = await AgentProgram.start(cluster, ['--listen=127.0.0.1:0', '--insecure', ...limits])
    const port = await agent.networkPort()
    const network = { host: '127.0.0.1', port }
    const leader = await agent.connect('joe', network)
    const id = await startBackup(leader)
    const silent = await Promise.all(Array.from({ length: 50 }, () => RawClient.connect(network)))
    const worker = await agent.connect('joe', network)
    await rowsOf(worker, `JOIN_BACKUP '${id}'`)
    await rowsOf(worker, 'LEAVE_BACKUP')
    await rowsOf(leader, 'STOP_BACKUP NOWAIT')
    await leader.query(`BUILD_MANIFEST '${id}'`)
    // Over TCP there is a third one, and on the socket there are three more.
    const all = [agent.connect('joe', network), agent.connect(), agent.connect(), agent.connect()]
    const others = await Promise.all(all)
    await expect(agent.connect('joe', network)).rejects.toMatchObject({ code: '53300' })
    await expect(agent.connect()).rejects.toMatchObject({ code: '53300' })
    for (const client of [leader, worker, ...others]) await client.end()
    for (const { socket } of silent) socket.destroy()
    await expectNothingLeft()
  })

  test('ends the command of a client that is gone', async () => {
    agent = await AgentProgram.start(cluster)
    const leader = await agent.connect()
    const id = await startBackup(leader)
    const worker = await RawClient.connect({ path: join(agent.socketDirectory, '.s.PGSQL.5433') })
    await worker.send(startup({ user: 'joe', replication: '1' })).until('Z')
    await worker.send(query(`JOIN_BACKUP '${id}'`)).until('Z')
    // All day, at this rate, were the client there: it takes nothing.
    const names = Array.from({ length: 5000 }, () => `'base/1/1259'`)
    worker.socket.pause()
    worker.send(query(`SEND_FILE (${names.join(',')})`))
    await poll(
      'files to be sent',
      async () => Number((await rowsOf(leader, 'LIST_BACKUPS'))[0]?.['bytes']) > 0,
    )
    worker.socket.destroy()
    expect(await agent.untilLogged('connection-closed')).toMatchObject({ how: 'lost' })
    await leader.end()
    await expectNothingLeft()
  })
})

async function failureOf(client: Client, text: string): Promise<unknown> {
  return await client.query(text).then(
    () => undefined,
    (error: unknown) => error,
  )
}
