import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { poll } from '../../../helpers/poll.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { mustRun } from '../../../helpers/run-program.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'
import { AgentProgram } from '../agent-program.js'
import { takeBackupWithPsql } from '../psql-backup.js'

// Some of these tests see the threads of the agent, which only Linux shows.
describeWithDebianPostgres('the threads of sessions', (programs) => {
  let cluster: Cluster
  let agent: AgentProgram

  beforeAll(async () => {
    cluster = await createCluster(programs)
    agent = await AgentProgram.start(cluster)
  })

  afterAll(async () => {
    await agent.stop()
    await cluster.remove()
  })

  function threads(): string[] {
    return readdirSync(`/proc/${agent.process.pid}/task`)
  }

  /** psql does not wait until its session has given its thread back. */
  async function untilAlone(): Promise<void> {
    await poll('all sessions to be over', () => {
      const events = agent.log().map(({ event }) => event)
      const count = (name: string): number => events.filter((event) => event === name).length
      return Promise.resolve(count('connection-opened') === count('connection-closed'))
    })
  }

  /** Returns what pg_verifybackup has to say. */
  async function takeBackup(): Promise<string> {
    const directory = join(createScratchDirectory().path, 'backup')
    await takeBackupWithPsql(agent, directory, 2)
    await untilAlone()
    const { stdout } = await mustRun(programs.path('pg_verifybackup') ?? '', ['-n', directory])
    return stdout.trim()
  }

  test('serve one backup after the other', async () => {
    await takeBackup()
    const first = threads()
    expect(await takeBackup()).toBe('backup successfully verified')
    expect(await takeBackup()).toBe('backup successfully verified')
    expect(threads()).toEqual(first)
  })

  test('are not those of a session that was lost', async () => {
    const before = threads()
    const client = await agent.connect()
    await client.query('LIST_TABLESPACES')
    client.connection.stream.destroy()
    await poll('another thread in its place', async () => {
      const now = threads()
      return await Promise.resolve(now.length === before.length && now.join() !== before.join())
    })
    expect(await takeBackup()).toBe('backup successfully verified')
  })
})
