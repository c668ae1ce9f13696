import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Client } from 'pg'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { mustRun } from '../../helpers/run-program.js'
import { AgentProgram } from './agent-program.js'
import { rowsOf, startBackup } from './rows.js'

const unknown = '0123456789abcdef'.repeat(2)

describeWithDebianPostgres('pbmanifest serve refuses', (programs) => {
  let cluster: Cluster
  let agent: AgentProgram
  let leader: Client
  let backupId: string

  beforeAll(async () => {
    cluster = await createCluster(programs, { walSegmentMegabytes: 1 })
    const inData = (name: string): string => join(cluster.dataDirectory, name)
    writeFileSync(join(cluster.scratch.path, 'outside'), 'secret')
    symlinkSync('../outside', inData('link'))
    symlinkSync('..', inData('directory-link'))
    mkdirSync(inData('directory'))
    await mustRun('mkfifo', [inData('fifo')])
    agent = await AgentProgram.start(cluster, [
      '--max-connections=8',
      '--max-backups=2',
      '--max-message-size=1',
      '--drain-timeout=0',
    ])
    leader = await agent.connect()
    backupId = await startBackup(leader)
  })

  afterAll(async () => {
    await leader.end()
    await agent.stop()
    await cluster.remove()
  })

  test.each([
    ["'../outside'", '42501', 'path name leaves the data directory'],
    ["'base/../../outside'", '42501', 'path name leaves the data directory'],
    ["'/etc/passwd'", '42501', 'absolute path name'],
    ["'base//1/1259'", '42501', expect.any(String)],
    ["'./PG_VERSION'", '42501', expect.any(String)],
    ["''", '42501', expect.any(String)],
    ["'link'", '42501', 'it is not a regular file'],
    ["'directory-link/outside'", '42501', 'there is something on its way that is not a directory'],
    ["'directory'", '42501', 'it is not a regular file'],
    ["'fifo'", '42501', 'it is not a regular file'],
    ["'postmaster.pid'", '42501', 'it is not part of a base backup'],
    ["'pg_replslot/x/state'", '42501', 'it is not part of a base backup'],
  ])('to send %s', async (pathname, code, reason) => {
    const error = await errorOf(leader, `SEND_FILE (${pathname})`)
    expect({ code: error.code, reason: error.message.replace(/^could not send file ".*": /, '') }).toEqual({
      code,
      reason,
    })
    await agent.untilLogged('file-refused', ({ message }) => message === error.message)
  })

  test('to send a device', async () => {
    // Only root can make one.
    const device = join(cluster.dataDirectory, 'device')
    if (process.getuid?.() === 0) await mustRun('mknod', [device, 'c', '1', '5'])
    else symlinkSync('/dev/zero', device)
    expect(await errorOf(leader, "SEND_FILE ('device')")).toMatchObject({ code: '42501' })
  })

  test.each([
    ['SELECT 1', '42601', 'syntax error at or near "SELECT"', '1'],
    ["SEND_FILE (E'a\\x00b')", '42601', 'a string cannot hold a null byte', '15'],
    ["JOIN_BACKUP 'x' y", '42601', 'syntax error at or near "y"', '17'],
    [`JOIN_BACKUP '${unknown}'`, '55000', 'this session is part of a backup already', undefined],
    ["LIST_FILES '99999'", '42704', 'there is no tablespace with OID 99999', undefined],
    ["BUILD_MANIFEST 'x'", '55000', expect.stringContaining('not the one that is named'), undefined],
    ['LEAVE_BACKUP', '55000', expect.stringContaining('cannot leave it before'), undefined],
  ])('%s', async (text, code, message, position) => {
    expect(await errorOf(leader, text)).toMatchObject({ code, message, position })
  })

  test.each([
    ["START_BACKUP LABEL E'two\\x0alines'", '22023', 'a backup label cannot hold a line break'],
    ["START_BACKUP MANIFEST_CHECKSUMS 'MD5'", '22023', 'unrecognized checksum algorithm: "MD5"'],
    ['LIST_FILES', '55000', 'this session has neither started nor joined a backup'],
    [`JOIN_BACKUP '${unknown}'`, '42704', `backup "${unknown}" does not exist`],
  ])('%s without a backup', async (text, code, message) => {
    const client = await agent.connect()
    expect(await errorOf(client, text)).toMatchObject({ code, message })
    await client.end()
    expect(agent.stderr).not.toContain(unknown)
  })

  test('what is not UTF-8, and says how to write it', async () => {
    // psql passes the bytes of a file on as they are.
    const script = join(cluster.scratch.path, 'script')
    writeFileSync(script, Buffer.from("SEND_FILE ('a\xff');", 'latin1'))
    const { stderr } = await agent.psql(['-f', script], { PGCLIENTENCODING: 'SQL_ASCII' })
    expect(stderr).toContain('ERROR:  invalid byte sequence for encoding "UTF8"')
    expect(stderr).toContain(String.raw`HINT:  Write bytes that are no text as E'\xNN'.`)
  })

  test('a command that is too long, and the connection with it', async () => {
    const client = await agent.connect()
    expect(await errorOf(client, `SEND_FILE ('${'x'.repeat(2000)}')`)).toMatchObject({
      severity: 'FATAL',
      code: '08P01',
    })
  })

  test('one backup more than may run, and to join one that has ended', async () => {
    const [second, third, worker] = [await agent.connect(), await agent.connect(), await agent.connect()]
    const secondId = await startBackup(second)
    expect(await errorOf(third, 'START_BACKUP FAST')).toMatchObject({
      code: '53400',
      message: 'there are 2 backups already, as many as may run at once',
    })
    await rowsOf(second, 'STOP_BACKUP NOWAIT')
    expect(await errorOf(worker, `JOIN_BACKUP '${secondId}'`)).toMatchObject({
      code: '55000',
      message: `could not join backup "${secondId}": it was stopped already`,
    })
    await rowsOf(second, 'ABORT_BACKUP')
    expect(await errorOf(worker, `JOIN_BACKUP '${secondId}'`)).toMatchObject({
      code: '55000',
      message: `could not join backup "${secondId}": it was aborted`,
    })
    // There is room again, also on the connection whose backup has ended.
    await startBackup(second)
    for (const client of [second, third, worker]) await client.end()
  })

  test('one connection more than there may be', async () => {
    const clients: Client[] = []
    const fill = async (): Promise<void> => {
      for (;;) clients.push(await agent.connect())
    }
    await expect(fill()).rejects.toMatchObject({ code: '53300' })
    // With the leader they are eight; one that has just left may have counted.
    expect(clients.length).toBeGreaterThan(2)
    expect(clients.length).toBeLessThan(8)
    await agent.untilLogged('connection-refused', ({ sqlstate }) => sqlstate === '53300')
    for (const client of clients) await client.end()
  })

  test('after all that, still runs the backup', async () => {
    expect(await rowsOf(leader, 'LIST_BACKUPS')).toEqual([
      expect.objectContaining({ backup_id: backupId, state: 'running' }),
    ])
  })
})

interface ServerError {
  readonly code: string
  readonly message: string
  readonly position: string | undefined
}

async function errorOf(client: Client, text: string): Promise<ServerError> {
  try {
    await client.query(text)
  } catch (error) {
    return error as ServerError
  }
  throw new Error(`"${text}" succeeded`)
}
