import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { pathOf } from '../../../../src/files/pathname.js'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { runProgram } from '../../../helpers/run-program.js'
import { pbmanifest } from '../../../cli/pbmanifest.js'
import { tablespaceMappings } from '../../../helpers/tablespace-mappings.js'
import { formatScramVerifier, makeScramVerifier } from '../../../helpers/scram-verifiers.js'
import { AgentProgram } from '../../agent/agent-program.js'
import { makeCertificate } from '../../agent/make-certificate.js'
import { expectNothingLeft, manifestFileLines, runBackupProgram } from '../backup-program.js'
import {
  createRestoreSite,
  expectSound,
  readServerLog,
  type RestoreSite,
  startRestored,
} from '../restored-cluster.js'

describeWithDebianPostgres('a backup from an agent', (programs) => {
  let cluster: Cluster
  let agent: AgentProgram
  let certificate: string
  let sqlLines: readonly string[]
  const ends: (() => Promise<unknown> | void)[] = []

  beforeAll(async () => {
    cluster = await createCluster(programs, { dataChecksums: true })
    await cluster.createTablespace('fast')
    await cluster.createTablespace('slow')
    await cluster.sql(`
      CREATE TABLE rows AS SELECT n, repeat('x', 100) AS t FROM generate_series(1, 50000) AS n;
      CREATE TABLE elsewhere TABLESPACE slow AS SELECT n FROM generate_series(1, 20000) AS n;
      CREATE INDEX ON elsewhere (n) TABLESPACE fast;
      CHECKPOINT`)
    // A server takes along whatever lies there.
    mkdirSync(join(cluster.dataDirectory, 'odd names'))
    for (const name of ["it's", 'caf\udce9', 'back\\slash', 'two\nlines']) {
      writeFileSync(pathOf(cluster.dataDirectory, `odd names/${name}`), name.slice(0, 3))
    }
    const { cert, key } = await makeCertificate(cluster.scratch.path, 'agent')
    certificate = cert
    const users = join(cluster.scratch.path, 'users')
    const verifier = formatScramVerifier(await makeScramVerifier('for the agent'))
    writeFileSync(users, `backup:${verifier}\n`, { mode: 0o600 })
    const network = [
      '--listen=127.0.0.1:0',
      `--users-file=${users}`,
      `--tls-cert=${cert}`,
      `--tls-key=${key}`,
    ]
    agent = await AgentProgram.start(cluster, network)
    const { site } = await backup([])
    sqlLines = await manifestFileLines(site.directory)
  })

  afterAll(async () => {
    await agent.stop()
    await cluster.remove()
  })

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  async function backup(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<{ site: RestoreSite; stdout: string; stderr: string }> {
    const site = createRestoreSite()
    ends.push(() => site.scratch.remove())
    const mappings = await tablespaceMappings(cluster, join(site.scratch.path, 'tablespaces'))
    const { status, stdout, stderr } = await runBackupProgram(cluster, {
      directory: site.directory,
      args: [...mappings.map(({ from, to }) => `--tablespace-mapping=${from}=${to}`), ...args],
      env,
    })
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
    return { site, stdout, stderr }
  }

  // Without a server where the environment says that it is: the agent is all that is needed.
  const nowhere = { PGHOST: '/nonexistent' }

  test.each([
    { jobs: 1, more: [], env: {} },
    { jobs: 4, more: ['--wal-method=fetch'], env: nowhere },
  ])(
    'by $jobs workers $more, has the manifest of one over SQL, verifies, and a server starts on it',
    async ({ jobs, more, env }) => {
      const { site, stdout, stderr } = await backup(
        [`--agent=${agent.socketDirectory}`, `--jobs=${jobs}`, ...more, '--output=json'],
        env,
      )
      expect(stderr).toBe('')
      expect(JSON.parse(stdout)).toMatchObject({
        serverMajorVersion: 15,
        jobs,
        tablespaces: [expect.anything(), expect.anything()],
        verification: { verdict: 'verified' },
      })
      expect(await manifestFileLines(site.directory)).toEqual(sqlLines)
      expect(sqlLines.length).toBeGreaterThan(600)
      expect(sqlLines.filter((line) => line.startsWith('{ "Encoded-Path"'))).toHaveLength(1)

      const theirs = await runProgram(programs.path('pg_verifybackup') ?? '', [site.directory])
      expect(theirs).toMatchObject({ status: 0, stdout: 'backup successfully verified\n' })
      expect(await pbmanifest(['verify', '--quiet', site.directory])).toMatchObject({ status: 0, stderr: '' })

      const restored = await startRestored(programs, site)
      ends.push(() => restored.remove())
      expect(await readServerLog(restored)).toContain('consistent recovery state reached')
      expect(await restored.sql('SELECT count(*)::int AS n FROM elsewhere')).toEqual([{ n: 20_000 }])
      expect(await expectSound(restored, 'postgres')).toBeGreaterThan(50)
      expect(agent.fragments()).toEqual([])
      await expectNothingLeft(cluster)
    },
  )

  test('over TLS, with a password that is not the one of the database server, has the same manifest', async () => {
    const { address } = await agent.untilLogged('listening', ({ isEncrypted }) => isEncrypted === true)
    const port = String(address).split(':').at(-1)
    const passwords = join(cluster.scratch.path, 'pgpass')
    writeFileSync(passwords, `127.0.0.1:${port}:replication:backup:for the agent\n`, { mode: 0o600 })
    const conninfo = `hostaddr=127.0.0.1 port=${port} user=backup sslmode=verify-ca sslrootcert=${certificate}`
    const { site } = await backup([`--agent=${conninfo}`, '--jobs=2'], { PGPASSFILE: passwords })
    expect(await manifestFileLines(site.directory)).toEqual(sqlLines)
    expect(agent.log().filter(({ level }) => level !== 'info')).toEqual([])
  })

  test('takes the options of one over SQL', async () => {
    const args = [
      '--label=from afar',
      '--manifest-checksums=SHA256',
      '--manifest-force-encode',
      '-R',
      '-P',
      '-v',
    ]
    const { site, stderr } = await backup([`--agent=${agent.socketDirectory}`, ...args])
    expect(await readFile(join(site.directory, 'backup_label'), 'utf8')).toContain('\nLABEL: from afar\n')
    const lines = await manifestFileLines(site.directory)
    expect(lines.filter((line) => !/"Encoded-Path".*"SHA256"/.test(line))).toEqual([])
    const settings = await readFile(join(site.directory, 'postgresql.auto.conf'), 'utf8')
    expect(settings).toContain(`host=''${cluster.socketDirectory}''`)
    expect(stderr).toContain('write-ahead log start point: ')
    expect(stderr).toMatch(/ kB \(100%\), 3\/3 tablespaces/)
  })

  test('keeps all workers together at one rate, and has no manifest when none is wanted', async () => {
    // So few that they are waited for also on a machine that has much to do.
    const kilobytes = 4000
    const args = [
      '--jobs=3',
      `--max-rate=${kilobytes}k`,
      '--wal-method=none',
      '--no-manifest',
      '--output=json',
    ]
    const { site, stdout } = await backup([`--agent=${agent.socketDirectory}`, ...args], nowhere)
    const { bytes, seconds, workers } = JSON.parse(stdout) as {
      bytes: number
      seconds: { copy: number }
      workers: { seconds: { throttled: number } }[]
    }
    // An eighth of a second's bytes may pass at once, and it begins before our clock does.
    expect(bytes).toBeLessThan(kilobytes * 1024 * (seconds.copy + 1))
    expect(workers.filter(({ seconds }) => seconds.throttled > 0).length).toBeGreaterThan(1)
    await expect(manifestFileLines(site.directory)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(agent.fragments()).toEqual([])
  })
})
