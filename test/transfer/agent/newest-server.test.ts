import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { parseBytes } from '../../manifest/parse-bytes.js'
import { AgentProgram } from './agent-program.js'
import { PsqlSession } from './psql-session.js'

let cluster: Cluster
let agent: AgentProgram

beforeAll(async () => {
  cluster = await createCluster(await embeddedPostgres())
  agent = await AgentProgram.start(cluster)
})

afterAll(async () => {
  await agent.stop()
  await cluster.remove()
})

test('pbmanifest serve works beside PostgreSQL 18', async () => {
  const psql = new PsqlSession(agent)
  const [facts = []] = await psql.rows('IDENTIFY_CLUSTER', 6)
  const [system] = await cluster.sql<{ id: string }>(
    'SELECT system_identifier::text AS id FROM pg_control_system()',
  )
  expect(facts.map(String)).toEqual(['18', system?.id, '16777216', 't', 'f', 'f'])
  const [start = []] = await psql.rows('START_BACKUP FAST', 3)
  const bytes = await psql.run("SEND_FILE ('global/pg_control')")
  expect(bytes).toHaveLength(8192)
  const [end = []] = await psql.rows('STOP_BACKUP NOWAIT', 5)
  expect(String(end[4])).toBe('0')
  const manifest = parseBytes(await psql.run(`BUILD_MANIFEST '${String(start[0])}'`))
  expect(manifest).toMatchObject({ version: 2, systemIdentifier: BigInt(system?.id ?? 0) })
  expect(manifest.files.map(({ pathname }) => pathname)).toEqual(['backup_label', 'global/pg_control'])
  await psql.quit()
})
