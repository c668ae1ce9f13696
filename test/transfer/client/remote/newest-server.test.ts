import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { newestPostgres, type PostgresPrograms } from '../../../helpers/postgres-programs.js'
import { pbmanifest } from '../../../cli/pbmanifest.js'
import { AgentProgram } from '../../agent/agent-program.js'
import { expectNothingLeft, manifestFileLines, runBackupProgram } from '../backup-program.js'
import { createRestoreSite, expectSound, readServerLog, startRestored } from '../restored-cluster.js'

describe.each(newestPostgres())('a backup from an agent beside $name', ({ programs: find }) => {
  let programs: PostgresPrograms
  let cluster: Cluster
  let agent: AgentProgram

  beforeAll(async () => {
    programs = await find()
    cluster = await createCluster(programs, { dataChecksums: true })
    await cluster.sql(`
      CREATE TABLE numbers AS SELECT n, repeat('x', 100) AS t FROM generate_series(1, 20000) AS n`)
    // So that no backup meets rows whose hint bits are not set yet, and sets them in the pages of the next.
    await cluster.sql('VACUUM FREEZE')
    await cluster.sql('CHECKPOINT')
    agent = await AgentProgram.start(cluster)
  })

  afterAll(async () => {
    await agent.stop()
    await cluster.remove()
  })

  test('has the manifest of one over SQL, verifies, and a server starts on it', async () => {
    const overSql = createRestoreSite()
    const site = createRestoreSite()
    const args = [`--agent=${agent.socketDirectory}`, '--jobs=2', '--output=json']
    expect(await runBackupProgram(cluster, { directory: overSql.directory })).toMatchObject({ status: 0 })
    const { status, stdout, stderr } = await runBackupProgram(cluster, { directory: site.directory, args })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({
      serverMajorVersion: programs.major,
      verification: { verdict: 'verified' },
    })
    expect(await manifestFileLines(site.directory)).toEqual(await manifestFileLines(overSql.directory))
    expect(await pbmanifest(['verify', '--quiet', site.directory])).toMatchObject({ status: 0, stderr: '' })
    const restored = await startRestored(programs, site)
    expect(await readServerLog(restored)).toContain('consistent recovery state reached')
    expect(await restored.sql('SELECT count(*)::int AS n FROM numbers')).toEqual([{ n: 20_000 }])
    expect(await expectSound(restored, 'postgres')).toBeGreaterThan(50)
    await restored.remove()
    expect(agent.fragments()).toEqual([])
    await expectNothingLeft(cluster)
    overSql.scratch.remove()
    site.scratch.remove()
  })
})
