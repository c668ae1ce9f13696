import { chownSync } from 'node:fs'
import { mkdir, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { AgentProgram } from '../agent/agent-program.js'
import { runBackupProgram } from './backup-program.js'
import { createRestoreSite, startRestored } from './restored-cluster.js'

let cluster: Cluster
let agent: AgentProgram
/** Where the tablespace is, without its last byte, 0xE4, which is no UTF-8. */
let location: string

beforeAll(async () => {
  cluster = await createCluster(await embeddedPostgres(), { hasTemplate0: true })
  location = join(await cluster.makeDirectory('tablespaces'), 'l')
  const bytes = Buffer.concat([Buffer.from(location), Buffer.of(0xe4)])
  await mkdir(bytes)
  if (cluster.user !== undefined) chownSync(bytes, cluster.user.uid, cluster.user.gid)
  await cluster.sql("CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII'")
  await cluster.sql(String.raw`CREATE TABLESPACE odd LOCATION E'${location}\xe4'`, 'bytes')
  await cluster.sql('CREATE TABLE kept TABLESPACE odd AS SELECT generate_series(1, 1000) AS number')
  agent = await AgentProgram.start(cluster)
})

afterAll(async () => {
  await agent.stop()
  await cluster.remove()
})

describe.each([
  ['over SQL', () => []],
  ['from an agent', () => [`--agent=${agent.socketDirectory}`]],
] as const)('a tablespace whose location is not UTF-8, %s', (_, more) => {
  test('goes where -T says, byte for byte, and a server finds it there', async () => {
    const site = createRestoreSite()
    onTestFinished(() => site.scratch.remove())
    const parent = join(site.scratch.path, 'moved')
    const args = [...more(), String.raw`--tablespace-mapping=${location}\xe4=${parent}/m\xf6`]
    const { status, stderr } = await runBackupProgram(cluster, { directory: site.directory, args })
    expect({ status, stderr }).toMatchObject({ status: 0 })
    expect(await readdir(parent, 'buffer')).toEqual([Buffer.of(0x6d, 0xf6)])
    const [oid = ''] = await readdir(join(site.directory, 'pg_tblspc'))
    const link = await readlink(join(site.directory, 'pg_tblspc', oid), 'buffer')
    expect(link).toEqual(Buffer.concat([Buffer.from(`${parent}/m`), Buffer.of(0xf6)]))
    const restored = await startRestored(await embeddedPostgres(), site)
    onTestFinished(async () => await restored.remove())
    expect(await restored.sql('SELECT count(*)::int FROM kept')).toEqual([{ count: 1000 }])
  })

  test('goes to the same place without -T, which is named so that -T can name it', async () => {
    const site = createRestoreSite()
    onTestFinished(() => site.scratch.remove())
    const { status, stderr } = await runBackupProgram(cluster, { directory: site.directory, args: more() })
    expect({ status, stderr }).toEqual({
      status: 5,
      stderr: expect.stringContaining(String.raw`directory "${location}\xe4" exists but is not empty`),
    })
  })
})
