import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { poll } from '../../../helpers/poll.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { createScratchDirectory, type ScratchDirectory } from '../../../helpers/scratch-directory.js'
import { createStandby } from '../../../helpers/standby.js'
import { tablespaceMappings } from '../../../helpers/tablespace-mappings.js'
import { AgentProgram } from '../../agent/agent-program.js'
import {
  expectNothingLeft,
  listTree,
  runBackupProgram,
  type RunningBackup,
  startBackupProgram,
  untilCopying,
} from '../backup-program.js'
import { failureOf } from '../failure-of.js'
import { startCuttable } from './cuttable-agent.js'

describeWithDebianPostgres('a backup from an agent that fails', (programs) => {
  let cluster: Cluster
  let agent: AgentProgram
  let scratch: ScratchDirectory
  const ends: (() => Promise<unknown> | void)[] = []

  beforeAll(async () => {
    cluster = await createCluster(programs, { dataChecksums: true, settings: { wal_keep_size: '1GB' } })
    await cluster.createTablespace('elsewhere')
    await cluster.sql(`
      CREATE TABLE other TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 1000) AS n;
      CHECKPOINT`)
    agent = await AgentProgram.start(cluster)
  })

  afterAll(async () => {
    await agent.stop()
    await cluster.remove()
  })

  beforeEach(() => {
    scratch = createScratchDirectory()
  })

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
    scratch.remove()
  })

  async function argumentsFor(server: Cluster, place: string): Promise<string[]> {
    const mappings = await tablespaceMappings(server, join(scratch.path, 'tablespaces'))
    return [`--agent=${place}`, ...mappings.map(({ from, to }) => `--tablespace-mapping=${from}=${to}`)]
  }

  async function startSlowly(
    server: Cluster,
    agent: AgentProgram,
    place: string = agent.socketDirectory,
    more: readonly string[] = [],
  ): Promise<RunningBackup> {
    const args = [...(await argumentsFor(server, place)), '--jobs=2', '--max-rate=1400k', ...more]
    const running = startBackupProgram(server, { directory: join(scratch.path, 'backup'), args })
    await untilCopying(running)
    // The leader and both workers: one that is about to join would fail in other words.
    await poll('all to have a fragment', () => Promise.resolve(agent.fragments().length === 3))
    return running
  }

  async function expectNothingHere(): Promise<void> {
    expect(await listTree(join(scratch.path, 'backup'))).toBeUndefined()
    expect(await listTree(join(scratch.path, 'tablespaces'))).toBeUndefined()
  }

  test('at SIGTERM, which ends when the server is out of backup mode and no fragment is left', async () => {
    const running = await startSlowly(cluster, agent)
    expect(await isInBackupMode(cluster)).toBe(true)
    running.process.kill('SIGTERM')
    expect(await running.result).toMatchObject({ status: 143, stderr: 'pbmanifest: terminated\n' })
    expect(agent.fragments()).toEqual([])
    expect(await isInBackupMode(cluster)).toBe(false)
    await expectNothingLeft(cluster)
    await expectNothingHere()
  })

  test('when one connection of a worker is cut, and is not to be made again', async () => {
    const cuttable = await startCuttable(agent)
    ends.push(() => cuttable.close())
    const running = await startSlowly(cluster, agent, cuttable.place, ['--retries=0'])
    cuttable.cutLast()
    expect(failureOf(await running.result)).toEqual({
      status: 6,
      // It may be noticed by who reads, or by who writes.
      error: expect.stringMatching(
        /: lost the connection to the agent: (?:server closed the connection unexpectedly|Broken pipe|Connection reset by peer)$/,
      ),
    })
    await poll('the fragments to be gone', () => Promise.resolve(agent.fragments().length === 0))
    await expectNothingLeft(cluster)
    await expectNothingHere()
  })

  test('when the standby that it is beside is promoted', async () => {
    const standby = await createStandby(cluster)
    ends.push(() => standby.remove())
    const beside = await AgentProgram.start(standby)
    ends.push(() => beside.stop())
    const running = await startSlowly(standby, beside)
    await standby.promote()
    expect(failureOf(await running.result)).toEqual({
      status: 6,
      error: expect.stringContaining('the standby was promoted during online backup'),
    })
    await poll('the fragments to be gone', () => Promise.resolve(beside.fragments().length === 0))
    await expectNothingLeft(standby)
    await expectNothingHere()
  })

  test('when the database server is restarted', async () => {
    const running = await startSlowly(cluster, agent)
    await cluster.restart()
    expect(failureOf(await running.result)).toEqual({
      status: 6,
      error: expect.stringMatching(
        /terminating connection|replication stream was terminated|could not receive data from WAL stream|lost the connection to the server|server closed/,
      ),
    })
    await poll('the fragments to be gone', () => Promise.resolve(agent.fragments().length === 0))
    await expectNothingLeft(cluster)
    await expectNothingHere()
    // The agent is as good as before.
    const args = await argumentsFor(cluster, agent.socketDirectory)
    const again = { directory: join(scratch.path, 'backup'), args }
    expect(await runBackupProgram(cluster, again)).toMatchObject({ status: 0, stderr: '' })
  })

  test('when -X stream is asked of another cluster', async () => {
    const other = await createCluster(programs)
    ends.push(() => other.remove())
    const args = await argumentsFor(cluster, agent.socketDirectory)
    const result = await runBackupProgram(other, { directory: join(scratch.path, 'backup'), args })
    expect(failureOf(result)).toEqual({
      status: 6,
      error: expect.stringMatching(
        /: system identifier differs between base backup and streaming connection$/,
      ),
    })
    await poll('the end of backup mode', async () => !(await isInBackupMode(cluster)))
    await expectNothingHere()
  })

  test.each([
    ['/nonexistent', 6, /: could not connect to the agent: connection .* failed: No such file or directory$/],
    ['here:there', 2, /: invalid agent "here:there"$/],
  ])('when the agent is %s', async (place, status, message) => {
    const args = await argumentsFor(cluster, place)
    const result = await runBackupProgram(cluster, { directory: join(scratch.path, 'backup'), args })
    expect(failureOf(result)).toEqual({ status, error: expect.stringMatching(message) })
    await expectNothingHere()
  })

  test('when what is named is a database server', async () => {
    const { PGHOST, PGPORT } = cluster.environment()
    const args = await argumentsFor(cluster, `host=${PGHOST} port=${PGPORT}`)
    const result = await runBackupProgram(cluster, { directory: join(scratch.path, 'backup'), args })
    expect(failureOf(result)).toMatchObject({ status: 6 })
    expect(result.stderr).toContain('hint: This may not be an agent of pbmanifest')
    await expectNothingHere()
  })

  test('when there is no database server for the stream of WAL', async () => {
    const args = await argumentsFor(cluster, agent.socketDirectory)
    const env = { PGHOST: '/nonexistent' }
    const result = await runBackupProgram(cluster, { directory: join(scratch.path, 'backup'), args, env })
    expect(failureOf(result)).toEqual({
      status: 6,
      error: expect.stringMatching(/: connection to server on socket .* failed: No such file or directory$/),
    })
    expect(result.stderr).toContain('hint: The stream of WAL comes from the database server')
    await expectNothingHere()
  })

  test('when its directory for fragments is not its own any more', async () => {
    const other = await AgentProgram.start(cluster)
    ends.push(() => other.stop())
    other.replaceTemporaryFiles(scratch.path)
    const args = await argumentsFor(cluster, other.socketDirectory)
    const result = await runBackupProgram(cluster, { directory: join(scratch.path, 'backup'), args })
    expect(failureOf(result)).toEqual({
      status: 6,
      error: expect.stringMatching(/: could not create directory ".*pbmanifest-agent-.*": File exists$/),
    })
    expect(result.stderr).toContain('pbmanifest: detail: The agent reported this.\n')
    await expectNothingLeft(cluster)
    await expectNothingHere()
  })

  test('at SIGINT while the agent hangs, which ends the backup when it goes on', async () => {
    const running = await startSlowly(cluster, agent)
    ends.push(() => void agent.process.kill('SIGCONT'))
    agent.process.kill('SIGSTOP')
    running.process.kill('SIGINT')
    expect(await running.result).toMatchObject({ status: 130, stderr: 'pbmanifest: interrupted\n' })
    await expectNothingHere()
    agent.process.kill('SIGCONT')
    await poll('the fragments to be gone', () => Promise.resolve(agent.fragments().length === 0))
    await poll('the end of backup mode', async () => !(await isInBackupMode(cluster)))
    await expectNothingLeft(cluster)
  })

  // The last one: there is no agent afterwards.
  test('when the agent is killed', async () => {
    const running = await startSlowly(cluster, agent)
    await agent.stop('SIGKILL')
    expect(failureOf(await running.result)).toEqual({
      status: 6,
      error: expect.stringMatching(/: lost the connection to the agent: /),
    })
    await expectNothingLeft(cluster)
    await poll('the end of backup mode', async () => !(await isInBackupMode(cluster)))
    await expectNothingHere()
  })
})

/** Whether somebody may hold backup mode: workers are no clients of the database server, and the stream of WAL is none. */
async function isInBackupMode(cluster: Cluster): Promise<boolean> {
  const rows = await cluster.sql(
    `SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'`,
  )
  return rows.length > 0
}
