import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatScramVerifier, makeScramVerifier } from '../../helpers/scram-verifiers.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { poll } from '../../helpers/poll.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { type ProgramResult, runProgram } from '../../helpers/run-program.js'
import { connectBreakableTls } from '../wire/breakable-tls.js'
import { startup, typed } from '../wire/raw-client.js'
import { AgentProgram, psqlProgram } from './agent-program.js'
import { makeCertificate } from './make-certificate.js'
import { rowsOf } from './rows.js'

describeWithDebianPostgres('pbmanifest serve at SIGHUP', (programs) => {
  let cluster: Cluster
  let agent: AgentProgram
  let directory: string
  let port: number

  beforeAll(async () => {
    cluster = await createCluster(programs)
    directory = cluster.scratch.path
    await useCertificate('first')
    await writeUsers('alice')
    await startAgent()
  })

  async function startAgent(): Promise<void> {
    agent = await AgentProgram.start(cluster, [
      '--listen=127.0.0.1:0',
      `--users-file=${join(directory, 'users')}`,
      `--tls-cert=${join(directory, 'used.crt')}`,
      `--tls-key=${join(directory, 'used.key')}`,
    ])
    port = await agent.networkPort()
  }

  /** What a user is asked for: his salt, and how often it is to be hashed. */
  async function challengeOf(user: string): Promise<string> {
    const { client } = await connectBreakableTls(port)
    await client.send(startup({ user, replication: '1' })).message()
    const message = await client.send(typed('p', 'SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd')).message()
    client.socket.destroy()
    return message?.payload.toString('latin1').replace(/^.*,s=/s, '') ?? ''
  }

  afterAll(async () => {
    await agent.stop()
    await cluster.remove()
  })

  async function useCertificate(name: string): Promise<void> {
    const { cert, key } = await makeCertificate(directory, name)
    copyFileSync(cert, join(directory, 'used.crt'))
    copyFileSync(key, join(directory, 'used.key'))
  }

  async function writeUsers(user: string): Promise<void> {
    const verifier = formatScramVerifier(await makeScramVerifier('secret'))
    writeFileSync(join(directory, 'users'), `${user}:${verifier}\n`, { mode: 0o600 })
  }

  async function connectAs(user: string, certificate: string): Promise<ProgramResult> {
    const conninfo = [
      `hostaddr=127.0.0.1 port=${port} user=${user} dbname=x replication=1`,
      `sslmode=verify-ca sslrootcert=${join(directory, `${certificate}.crt`)}`,
    ]
    const args = ['-X', conninfo.join(' '), '-Atc', 'LIST_BACKUPS']
    return await runProgram(psqlProgram(), args, { env: { PGPASSWORD: 'secret' } })
  }

  test('lets in others, with another certificate, and leaves alone who is in', async () => {
    expect(await connectAs('alice', 'first')).toMatchObject({ status: 0 })
    const alice = await agent.connect('alice', {
      host: '127.0.0.1',
      port,
      password: 'secret',
      ssl: { rejectUnauthorized: false },
    })
    await writeUsers('bob')
    await useCertificate('second')
    agent.process.kill('SIGHUP')
    await agent.untilLogged('reloaded')
    expect(await connectAs('bob', 'second')).toMatchObject({ status: 0 })
    expect((await connectAs('bob', 'first')).stderr).toContain('certificate verify failed')
    expect((await connectAs('alice', 'second')).stderr).toContain('password authentication failed')
    expect(await rowsOf(alice, 'LIST_BACKUPS')).toEqual([])
    await alice.end()
  })

  test('asks unknown users for what it asked them for before, also after a restart', async () => {
    const before = [await challengeOf('nobody'), await challengeOf('mallory'), await challengeOf('bob')]
    expect(new Set(before).size).toBe(3)
    const [line] = readFileSync(join(directory, 'users'), 'utf8').split('\n')
    const verifier = formatScramVerifier(await makeScramVerifier('secret'))
    writeFileSync(join(directory, 'users'), `zoe:${verifier}\n${line}\n`)
    agent.process.kill('SIGHUP')
    await poll('them to be read', async () => (await connectAs('zoe', 'second')).status === 0)
    const after = [await challengeOf('nobody'), await challengeOf('mallory'), await challengeOf('bob')]
    expect(after).toEqual(before)
    await agent.stop()
    await startAgent()
    expect([await challengeOf('nobody'), await challengeOf('mallory'), await challengeOf('bob')]).toEqual(
      before,
    )
  })

  test('keeps to what it has where a file is not as it should be', async () => {
    writeFileSync(join(directory, 'users'), 'carol: no verifier\n')
    agent.process.kill('SIGHUP')
    const failure = await agent.untilLogged('reload-failed')
    expect(failure).toMatchObject({
      level: 'error',
      message: `line 1 of file "${join(directory, 'users')}": it is not "user:SCRAM-SHA-256$..."`,
    })
    expect(await connectAs('bob', 'second')).toMatchObject({ status: 0 })
  })
})
