import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatScramVerifier, makeScramVerifier } from '../../helpers/scram-verifiers.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { poll } from '../../helpers/poll.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { type ProgramResult, runProgram } from '../../helpers/run-program.js'
import { pbmanifest } from '../../cli/pbmanifest.js'
import { AgentProgram, isInBackupMode, psqlProgram } from './agent-program.js'
import { makeCertificate } from './make-certificate.js'
import { rowsOf, startBackup } from './rows.js'

describeWithDebianPostgres('pbmanifest serve', (programs) => {
  let cluster: Cluster
  let directory: string

  beforeAll(async () => {
    cluster = await createCluster(programs, { walSegmentMegabytes: 1 })
    directory = cluster.scratch.path
    await cluster.sql('CHECKPOINT')
  })

  afterAll(() => cluster.remove())

  const server = (): string => `host=${cluster.socketDirectory} user=postgres dbname=postgres`

  async function serve(...args: readonly string[]): Promise<ProgramResult> {
    return await pbmanifest(['serve', '--server', server(), ...args])
  }

  function file(name: string, content: string, mode = 0o600): string {
    const path = join(directory, name)
    writeFileSync(path, content, { mode })
    return path
  }

  /** What a copy of the data directory would be, as far as it is looked at. */
  function copyOfCluster(name: string): string {
    const copy = join(directory, name)
    mkdirSync(join(copy, 'global'), { recursive: true })
    for (const pathname of ['PG_VERSION', 'postmaster.pid', 'global/pg_control']) {
      cpSync(join(cluster.dataDirectory, pathname), join(copy, pathname))
    }
    return copy
  }

  test('does not start on what is no data directory', async () => {
    expect(await serve('-D', '/nowhere', '--socket-dir', directory)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('error: directory "/nowhere" is not a database cluster directory\n'),
    })
  })

  test('does not start on the data directory of another cluster, or of a copy of this one', async () => {
    const other = await createCluster(programs)
    expect(await serve('-D', other.dataDirectory, '--socket-dir', directory)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining(
        `error: system identifier differs between data directory "${other.dataDirectory}" and the server\n`,
      ),
    })
    await other.remove()
    const copy = copyOfCluster('copy')
    await cluster.sql('SELECT pg_switch_wal(); CHECKPOINT')
    expect(await serve('-D', copy, '--socket-dir', directory)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining(`error: the server runs on another data directory than "${copy}"\n`),
    })
  })

  test('does not start a backup on a copy that is as old as the last checkpoint', async () => {
    const copy = copyOfCluster('fresh-copy')
    const { socketDirectory, port } = cluster
    const agent = await AgentProgram.start({ dataDirectory: copy, socketDirectory, port })
    const client = await agent.connect()
    await expect(client.query('START_BACKUP FAST')).rejects.toMatchObject({
      code: '55000',
      message: `the server runs on another data directory than "${copy}"`,
    })
    await poll('the server to be out of backup mode', async () => !(await isInBackupMode(cluster)))
    await poll('the fragments to be gone', () => Promise.resolve(agent.fragments().length === 0))
    await client.end()
    await agent.stop()
  })

  test('starts before the server does, and says so', async () => {
    await cluster.stop()
    const agent = await AgentProgram.start(cluster)
    expect(agent.log()[0]).toMatchObject({
      level: 'warn',
      event: 'server-unavailable',
      message: expect.stringMatching(/^connection to server on socket .* failed: /),
    })
    await cluster.start()
    const client = await agent.connect()
    await startBackup(client)
    await client.end()
    expect(await agent.stop()).toEqual({ status: 0, signal: null })
  })

  test('does not start where another agent listens', async () => {
    const agent = await AgentProgram.start(cluster)
    expect(await serve('-D', cluster.dataDirectory, '--socket-dir', agent.socketDirectory)).toMatchObject({
      status: 5,
      stderr: expect.stringMatching(/: Address already in use\n.*hint: Is another agent running already\?/),
    })
    expect(await agent.psql(['-Atc', 'LIST_BACKUPS'])).toMatchObject({ status: 0 })
    await agent.stop()
  })

  test('lets in over TLS who knows a password, and hides the backups of others from him', async () => {
    const { cert, key } = await makeCertificate(directory, 'server')
    const lines = ['alice', 'bob'].map(
      async (user) => `${user}:${formatScramVerifier(await makeScramVerifier(`${user}'s secret`))}\n`,
    )
    const users = file('two-users', (await Promise.all(lines)).join(''))
    const agent = await AgentProgram.start(cluster, [
      '--listen=127.0.0.1:0',
      `--users-file=${users}`,
      `--tls-cert=${cert}`,
      `--tls-key=${key}`,
      '--metrics-listen=0',
      '--drain-timeout=0',
    ])
    const { address } = await agent.untilLogged('listening', ({ isEncrypted }) => isEncrypted === true)
    const port = Number(String(address).split(':')[1])
    const asUser = (user: string, password: string, sslmode = 'require'): Promise<ProgramResult> =>
      runProgram(
        psqlProgram(),
        [
          '-X',
          `host=127.0.0.1 port=${String(port)} user=${user} sslmode=${sslmode} replication=1`,
          '-Atc',
          'LIST_BACKUPS',
        ],
        { env: { PGPASSWORD: password, PGDATABASE: 'x' } },
      )
    const alice = await agent.connect('alice', {
      host: '127.0.0.1',
      port,
      password: "alice's secret",
      ssl: { rejectUnauthorized: false },
    })
    const backupId = await startBackup(alice, 'of alice')
    expect(await rowsOf(alice, 'LIST_BACKUPS')).toEqual([expect.objectContaining({ backup_id: backupId })])
    expect((await asUser('bob', "bob's secret")).stdout).toBe('|of alice|0|0|0|running|\n')
    // Who is on the socket could read the files anyway.
    expect((await agent.psql(['-Atc', 'LIST_BACKUPS'])).stdout).toContain(backupId)
    for (const user of ['alice', 'mallory']) {
      expect((await asUser(user, "bob's secret")).stderr).toContain(
        `FATAL:  password authentication failed for user "${user}"`,
      )
      expect(await agent.untilLogged('authentication-failed', (line) => line['user'] === user)).toMatchObject(
        { level: 'warn' },
      )
    }
    expect((await asUser('bob', "bob's secret", 'disable')).stderr).toContain(
      'FATAL:  connection requires encryption',
    )
    const metrics = await agent.untilLogged('serving-metrics')
    const response = await fetch(`http://${String(metrics['address'])}/metrics`)
    expect(response.headers.get('content-type')).toContain('version=0.0.4')
    const text = await response.text()
    expect(text).toContain('# TYPE pbmanifest_backups_running gauge\npbmanifest_backups_running 1\n')
    expect(text).toContain('\npbmanifest_authentication_failures_total 2\n')
    expect(text).toContain('\npbmanifest_backups_total{result="finished"} 0\n')
    expect((await fetch(`http://${String(metrics['address'])}/`)).status).toBe(404)
    await alice.end()
    await agent.stop()
    for (const secret of [backupId, 'secret', 'SCRAM']) expect(agent.stderr).not.toContain(secret)
  })
})
