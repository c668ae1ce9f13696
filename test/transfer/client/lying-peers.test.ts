import { mkdirSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { type Lie, type LyingProxy, startLyingProxy } from '../../helpers/lying-proxy.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'
import { AgentProgram } from '../agent/agent-program.js'
import { expectNothingLeft, listTree, runBackupProgram } from './backup-program.js'
import { failureOf } from './failure-of.js'

/** A file of the cluster, and a name of the same length that leads to where nothing is to be written. */
const harmless = { truth: 'harmless_name_1', lie: '../../outside/x' }
const history = { truth: '00000002.history', lie: '2/../../evil.key' }

/** It failed, and nothing was written, or left, anywhere. */
function refusedWith(message: string) {
  return { status: 6, error: expect.stringContaining(message), hasLied: true, left: ['outside'] }
}

describe('a server or an agent that lies', () => {
  let cluster: Cluster
  let agent: AgentProgram
  let tablespace: string
  let versionDirectory: string

  beforeAll(async () => {
    cluster = await createCluster(await embeddedPostgres())
    tablespace = await cluster.createTablespace('elsewhere')
    await cluster.sql('CREATE TABLE other TABLESPACE elsewhere AS SELECT 1 AS n')
    versionDirectory = (await listTree(tablespace))?.find((name) => name.startsWith('PG_')) ?? ''
    mkdirSync(join(cluster.dataDirectory, 'names'))
    writeFileSync(join(cluster.dataDirectory, 'names', harmless.truth), 'the content of it')
    // On a second timeline, which has a history file.
    await cluster.stop()
    await writeFile(join(cluster.dataDirectory, 'standby.signal'), '')
    await cluster.start()
    await cluster.promote()
    await cluster.sql('CHECKPOINT')
    agent = await AgentProgram.start(cluster)
  })

  afterAll(async () => {
    await agent.stop()
    await cluster.remove()
  })

  /** What becomes of a backup from the liar, and of the directory in which it was to be made. */
  async function backUp(proxy: LyingProxy, args: readonly string[]) {
    const scratch = createScratchDirectory()
    onTestFinished(async () => {
      await proxy.close()
      scratch.remove()
    })
    mkdirSync(join(scratch.path, 'outside'))
    const result = await runBackupProgram(cluster, {
      directory: join(scratch.path, 'a/backup'),
      args: [`--tablespace-mapping=${tablespace}=${join(scratch.path, 'tablespace')}`, ...args],
    })
    await expectNothingLeft(cluster)
    return { ...failureOf(result), hasLied: proxy.lies > 0, left: await listTree(scratch.path) }
  }

  test.each<[string, Lie, string, string[]]>([
    ['a file', harmless, 'name in a directory has a slash: "../../outside/x"', []],
    [
      'a timeline history file',
      history,
      'unexpected history file name for timeline 2: "2/../../evil.key"',
      [],
    ],
  ])('leads nowhere over SQL: %s', async (_what, lie, expected, args) => {
    const proxy = await startLyingProxy(cluster, lie)
    expect(await backUp(proxy, [`--host=${proxy.socketDirectory}`, ...args])).toEqual(refusedWith(expected))
  })

  test.each(['SQL', 'agent'])('leads nowhere by a NUL (%s)', async (way) => {
    const start = async (truth: string): Promise<[LyingProxy, string[]]> => {
      const proxy = await startLyingProxy(way === 'SQL' ? cluster : agent, {
        truth,
        lie: `${truth.slice(0, -1)}\0`,
      })
      return [proxy, [`--${way === 'SQL' ? 'host' : 'agent'}=${proxy.socketDirectory}`]]
    }
    expect(await backUp(...(await start(harmless.truth)))).toEqual(refusedWith('null byte'))
    expect(await backUp(...(await start(tablespace)))).toEqual(refusedWith('which is not an absolute path'))
  })

  test('leads nowhere over SQL: a tablespace', async () => {
    const proxy = await startLyingProxy(cluster, { truth: tablespace, lie: `../${tablespace.slice(3)}` })
    expect(await backUp(proxy, [`--host=${proxy.socketDirectory}`])).toEqual(
      refusedWith('which is not an absolute path'),
    )
  })

  test.each<[string, Lie, string, string[]]>([
    ['a file', harmless, 'path name leaves the data directory: "names/../../outside/x"', []],
    [
      'a file that the backup itself makes',
      { truth: 'postgresql.conf', lie: 'backup_manifest' },
      '"backup_manifest" is listed in the data directory, where a backup has no such file',
      [],
    ],
    ['a file of WAL', history, 'there is no file of WAL "2/../../evil.key"', ['--wal-method=fetch']],
    [
      'a directory',
      { truth: 'pg_wal/archive_status', lie: 'pg_wal/../../../owned' },
      'path name leaves the data directory',
      [],
    ],
  ])('leads nowhere from an agent: %s', async (_what, lie, expected, args) => {
    const proxy = await startLyingProxy(agent, lie)
    expect(await backUp(proxy, [`--agent=${proxy.socketDirectory}`, ...args])).toEqual(refusedWith(expected))
  })

  test('leads nowhere from an agent: what is beside the directory that the cluster has in a tablespace', async () => {
    const lie = '.ssh/authorized_keys'.padEnd(versionDirectory.length, '_').slice(0, versionDirectory.length)
    const proxy = await startLyingProxy(agent, { truth: versionDirectory, lie })
    expect(await backUp(proxy, [`--agent=${proxy.socketDirectory}`])).toEqual(
      refusedWith('where a backup has no such'),
    )
  })

  test('leads nowhere from an agent: the OID of a tablespace', async () => {
    const [row] = await cluster.sql<{ oid: string }>(
      `SELECT oid::text FROM pg_tablespace WHERE spcname = 'elsewhere'`,
    )
    const oid = row?.oid ?? ''
    const proxy = await startLyingProxy(agent, { truth: oid, lie: '../..'.padEnd(oid.length, '/') })
    expect(await backUp(proxy, [`--agent=${proxy.socketDirectory}`])).toEqual(
      refusedWith('the value of column "oid" makes no sense'),
    )
  })

  test.each([
    ['CRC-32C', []],
    ['SHA-256', ['--manifest-checksums=SHA256']],
  ] as const)('has no backup from an agent with a byte that changed on the way: %s', async (_what, args) => {
    const proxy = await startLyingProxy(agent, { truth: 'the content of it', lie: 'the cOntent of it' })
    expect(await backUp(proxy, [`--agent=${proxy.socketDirectory}`, ...args])).toEqual(
      refusedWith('file "names/harmless_name_1" was changed on its way from the agent'),
    )
  })

  test('has no backup with a pg_control that changed on the way', async () => {
    const [row] = await cluster.sql<{ system: string }>(
      'SELECT system_identifier::text AS system FROM pg_control_system()',
    )
    const truth = Buffer.alloc(8)
    truth.writeBigUInt64LE(BigInt(row?.system ?? 0))
    const proxy = await startLyingProxy(agent, { truth, lie: Buffer.from(truth).fill(7, 0, 1) })
    expect(await backUp(proxy, [`--agent=${proxy.socketDirectory}`])).toEqual(
      refusedWith('file "global/pg_control" was changed on its way from the agent'),
    )
  })
})
