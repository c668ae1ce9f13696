import { connect } from 'node:net'
import { join } from 'node:path'
import type { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { poll } from '../../helpers/poll.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'
import { AgentProgram, isInBackupMode } from './agent-program.js'
import { takeBackupWithPsql } from './psql-backup.js'
import { PsqlSession } from './psql-session.js'
import { rowsOf, startBackup } from './rows.js'

describeWithDebianPostgres('a backup of pbmanifest serve', (programs) => {
  let cluster: Cluster
  let agent: AgentProgram

  beforeAll(async () => {
    // Whoever waits for the archive waits in vain.
    const settings = { archive_mode: true, archive_command: 'false' }
    cluster = await createCluster(programs, { walSegmentMegabytes: 1, settings })
    await cluster.sql(
      `CREATE TABLE large AS SELECT n, repeat(md5(n::text), 8) AS filler FROM generate_series(1, 30000) AS n; CHECKPOINT`,
    )
  })

  afterAll(() => cluster.remove())

  beforeEach(async () => {
    agent = await AgentProgram.start(cluster, ['--drain-timeout=200'])
  })

  afterEach(async () => {
    if (agent.process.exitCode === null) await agent.stop('SIGKILL')
  })

  /** Clients are told at once; what was made is removed meanwhile. */
  async function untilNoFragments(): Promise<void> {
    await poll('the fragments to be gone', () => Promise.resolve(agent.fragments().length === 0))
  }

  async function expectNothingLeft(): Promise<void> {
    await untilNoFragments()
    await poll('the server to be out of backup mode', async () => !(await isInBackupMode(cluster)))
    expect(await agent.psql(['-Atc', 'LIST_BACKUPS'])).toMatchObject({ status: 0, stdout: '' })
  }

  async function untilSending(): Promise<void> {
    const watcher = await agent.connect()
    await poll('bytes to be sent', async () => {
      const [backup] = await rowsOf(watcher, 'LIST_BACKUPS')
      return Number(backup?.['bytes']) > 0
    })
    await watcher.end()
  }

  async function largeFile(): Promise<string> {
    const [row] = await cluster.sql<{ pathname: string }>(`SELECT pg_relation_filepath('large') AS pathname`)
    return row?.pathname ?? ''
  }

  test('is taken though its directory for fragments was removed, as temporary files are after some days', async () => {
    agent.removeTemporaryFiles()
    await takeBackupWithPsql(agent, join(createScratchDirectory().path, 'backup'), 1)
    expect(await agent.untilLogged('backup-finished')).toMatchObject({ sessions: 2 })
    await expectNothingLeft()
  })

  test('has in its manifest what workers sent that said goodbye a moment before', async () => {
    const leader = await agent.connect()
    const id = await startBackup(leader)
    const pathnames = (await rowsOf(leader, 'LIST_FILES')).map(({ pathname }) => pathname ?? '')
    const workers = await Promise.all(Array.from({ length: 8 }, () => agent.connect()))
    for (const [index, worker] of workers.entries()) {
      await rowsOf(worker, `JOIN_BACKUP '${id}'`)
      const [pathname = ''] = pathnames.filter((name) => name.startsWith('base/1/')).slice(index)
      await worker.query(`SEND_FILE ('${pathname}')`)
    }
    await leader.query('STOP_BACKUP NOWAIT')
    // Nobody waits for an answer to Terminate: there is none.
    for (const worker of workers) worker.connection.end()
    await leader.query(`BUILD_MANIFEST '${id}'`)
    await leader.end()
    expect(await agent.untilLogged('backup-finished')).toMatchObject({ sessions: 9 })
    await expectNothingLeft()
  })

  test('is aborted when its leader is gone, and its workers are told', async () => {
    const leader = new PsqlSession(agent)
    const [start = []] = await leader.rows('START_BACKUP FAST MAX_RATE 32', 3)
    const worker = await agent.connect()
    await rowsOf(worker, `JOIN_BACKUP '${String(start[0])}'`)
    const failure = failureOf(worker, `SEND_FILE ('${await largeFile()}')`)
    await untilSending()
    await leader.kill()
    expect(await failure).toMatchObject({
      code: '08006',
      message: 'the connection that started the backup was lost before the backup was complete',
    })
    await agent.untilLogged('backup-aborted')
    await expectNothingLeft()
    // The worker's connection is good for another backup when it has left this one.
    expect(await failureOf(worker, 'LEAVE_BACKUP')).toMatchObject({ code: '08006' })
    await startBackup(worker)
    await worker.end()
  })

  test('cannot be complete when a worker is gone, and can be when it has left', async () => {
    const leader = await agent.connect()
    const backupId = await startBackup(leader)
    const [left, lost] = [new PsqlSession(agent), new PsqlSession(agent)]
    for (const worker of [left, lost]) await worker.run(`JOIN_BACKUP '${backupId}'`)
    await left.run('LEAVE_BACKUP')
    await lost.kill()
    await agent.untilLogged('connection-closed', ({ how }) => how === 'lost')
    await rowsOf(leader, 'STOP_BACKUP NOWAIT')
    await expect(leader.query(`BUILD_MANIFEST '${backupId}'`)).rejects.toMatchObject({
      code: '55000',
      message: 'the manifest cannot be built: 1 of 3 sessions of the backup have not finished',
    })
    await left.quit()
    await leader.end()
    await agent.untilLogged('backup-aborted')
    await expectNothingLeft()
  })

  test('is lost when the database server is, and says so to its idle leader', async () => {
    const leader = await agent.connect()
    const backupId = await startBackup(leader)
    const worker = await agent.connect()
    await rowsOf(worker, `JOIN_BACKUP '${backupId}'`)
    const said = lossOf(leader)
    await cluster.stop('immediate')
    expect(await said).toMatchObject({ severity: 'FATAL' })
    await expect(worker.query("SEND_FILE ('PG_VERSION')")).rejects.toMatchObject({
      message: (await said).message,
    })
    await untilNoFragments()
    // The next one cannot start, and then can.
    const next = await agent.connect()
    await expect(next.query('START_BACKUP FAST')).rejects.toMatchObject({
      code: '08006',
      message: expect.stringMatching(/^connection to server on socket .* failed: /),
    })
    await cluster.start()
    await startBackup(next)
    await Promise.all([worker.end(), next.end()])
    await agent.untilLogged('backup-aborted', ({ backup }) => backup === 2)
    await expectNothingLeft()
  })

  test('that is cancelled while it starts leaves the connection as it was', async () => {
    // A checkpoint that does not hurry takes minutes when there is something to write.
    await cluster.sql('CREATE TABLE dirty AS SELECT generate_series(1, 200000) AS n')
    const client = await agent.connect()
    const failure = failureOf(client, "START_BACKUP LABEL 'slow'")
    await poll('the server to begin', () => isInBackupMode(cluster))
    cancel(agent, client)
    expect(await failure).toMatchObject({ code: '57014' })
    await rowsOf(client, 'ABORT_BACKUP')
    await expectNothingLeft()
    await startBackup(client)
    await client.end()
  })

  test.each([
    ['by its leader', async (client: Client) => Promise.resolve(cancel(agent, client))],
    [
      'by the server',
      async () => {
        await cluster.sql(
          `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'pbmanifest'`,
        )
      },
    ],
  ])('is aborted when its stop is cancelled %s', async (_, cancelStop) => {
    const client = await agent.connect()
    await startBackup(client)
    const failure = failureOf(client, 'STOP_BACKUP')
    await poll('the server to wait for the archive', async () => {
      const rows = await cluster.sql(
        `SELECT FROM pg_stat_activity WHERE application_name = 'pbmanifest' AND wait_event = 'BackupWaitWalArchive'`,
      )
      return rows.length === 1
    })
    await cancelStop(client)
    expect(await failure).toMatchObject({ code: '57014', message: 'canceling statement due to user request' })
    await expectNothingLeft()
    await startBackup(client)
    await client.end()
  })

  test('goes on when sending a file is cancelled', async () => {
    const client = await agent.connect()
    const [start] = await rowsOf(client, 'START_BACKUP FAST MAX_RATE 32')
    const failure = failureOf(client, `SEND_FILE ('${await largeFile()}')`)
    await untilSending()
    cancel(agent, client)
    expect(await failure).toMatchObject({ code: '57014' })
    expect(await rowsOf(client, 'LIST_BACKUPS')).toEqual([
      expect.objectContaining({ backup_id: start?.['backup_id'], state: 'running' }),
    ])
    await rowsOf(client, 'STOP_BACKUP NOWAIT')
    await client.query(`BUILD_MANIFEST '${String(start?.['backup_id'])}'`)
    await client.end()
    await agent.untilLogged('backup-finished')
    await expectNothingLeft()
  })

  test('keeps its idle connections, until it does nothing at all', async () => {
    await agent.stop()
    agent = await AgentProgram.start(cluster, ['--idle-timeout=2', '--backup-idle-timeout=8'])
    // First the one that is to be closed first.
    const idleLost = lossOf(await agent.connect())
    const leader = await agent.connect()
    await startBackup(leader)
    const leaderLost = lossOf(leader)
    expect(await idleLost).toMatchObject({ code: '57P05' })
    expect(await leaderLost).toMatchObject({ code: '57P05' })
    await agent.untilLogged('backup-aborted')
    const events = agent.log().map(({ event }) => event)
    expect(events.indexOf('connection-closed')).toBeLessThan(events.indexOf('backup-aborted'))
    await expectNothingLeft()
  })

  test('may end after SIGTERM, when nothing else may begin', async () => {
    const leader = await agent.connect()
    const backupId = await startBackup(leader)
    const worker = await agent.connect()
    await rowsOf(worker, `JOIN_BACKUP '${backupId}'`)
    const idle = await agent.connect()
    const said = lossOf(idle)
    agent.process.kill('SIGTERM')
    expect(await said).toMatchObject({ code: '57P01' })
    await expect(agent.connect()).rejects.toThrow(/ECONNREFUSED|ENOENT/)
    await rowsOf(worker, 'LEAVE_BACKUP')
    await expect(worker.query('START_BACKUP FAST')).rejects.toMatchObject({ code: '57P01' })
    await rowsOf(leader, 'STOP_BACKUP NOWAIT')
    await leader.query(`BUILD_MANIFEST '${backupId}'`)
    await leader.end()
    expect(await agent.end).toEqual({ status: 0, signal: null })
    expect(agent.log().map(({ event }) => event)).toContain('backup-finished')
    expect(agent.log().at(-1)).toMatchObject({ event: 'stopped' })
  })

  test('is aborted by a second signal', async () => {
    const leader = await agent.connect()
    await startBackup(leader)
    agent.process.kill('SIGTERM')
    await agent.untilLogged('draining')
    expect(await agent.stop('SIGINT')).toEqual({ status: 130, signal: null })
    expect(agent.fragments()).toEqual([])
    await poll('the server to be out of backup mode', async () => !(await isInBackupMode(cluster)))
  })
})

/** What an idle connection ends with. */
async function lossOf(client: Client): Promise<Error> {
  return await new Promise((resolve) => {
    client.once('error', resolve)
  })
}

/** Runs a command that has to fail. */
async function failureOf(client: Client, text: string): Promise<unknown> {
  return await client.query(text).then(
    () => undefined,
    (error: unknown) => error,
  )
}

/** What psql does at Ctrl-C. */
function cancel(agent: AgentProgram, client: Client): void {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
  const request = Buffer.alloc(16)
  for (const [index, value] of [16, 80_877_102, processID, secretKey].entries()) {
    request.writeInt32BE(value, 4 * index)
  }
  connect(`${agent.socketDirectory}/.s.PGSQL.${String(agent.port)}`).end(request)
}
