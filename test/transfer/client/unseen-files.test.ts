import { mkdirSync, readdirSync, readlinkSync, renameSync, rmdirSync, symlinkSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { LocalClusterFiles } from '../../../src/transfer/cluster-files/local/local-cluster-files.js'
import { listVisibleTablespaces } from '../../../src/transfer/session/listings.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { PlainBackupMode } from '../../helpers/plain-backup-mode.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'
import { AgentProgram } from '../agent/agent-program.js'
import { expectNothingLeft, listTree, runBackupProgram } from './backup-program.js'
import { failureOf } from './failure-of.js'

/** Makes something invisible, and returns what makes it visible again. */
type Hide = () => () => void

describe('files that the server has and their reader cannot see', () => {
  let cluster: Cluster
  let agent: AgentProgram
  let location: string
  let oid: string
  let databaseOid: string

  beforeAll(async () => {
    cluster = await createCluster(await embeddedPostgres())
    location = await cluster.createTablespace('elsewhere')
    await cluster.sql('CREATE DATABASE other')
    await cluster.sql(
      'CREATE TABLE rows TABLESPACE elsewhere AS SELECT generate_series(1, 1000) AS n; CHECKPOINT',
    )
    const [row] = await cluster.sql<{ tablespace: string; database: string }>(`
      SELECT (SELECT oid::text FROM pg_tablespace WHERE spcname = 'elsewhere') AS tablespace,
             (SELECT oid::text FROM pg_database WHERE datname = 'other') AS database`)
    oid = row?.tablespace ?? ''
    databaseOid = row?.database ?? ''
    agent = await AgentProgram.start(cluster)
  })

  afterAll(async () => {
    await agent.stop()
    await cluster.remove()
  })

  const moveAway: Hide = () => {
    renameSync(location, `${location}.away`)
    return () => renameSync(`${location}.away`, location)
  }

  const unmount: Hide = () => {
    const moveBack = moveAway()
    mkdirSync(location)
    return () => {
      rmdirSync(location)
      moveBack()
    }
  }

  const unlink: Hide = () => {
    const link = join(cluster.dataDirectory, 'pg_tblspc', oid)
    const target = readlinkSync(link)
    unlinkSync(link)
    return () => symlinkSync(target, link)
  }

  const hideDatabase: Hide = () => {
    const directory = join(cluster.dataDirectory, 'base', databaseOid)
    renameSync(directory, `${location}.database`)
    return () => renameSync(`${location}.database`, directory)
  }

  async function backUp(args: readonly string[]) {
    const scratch = createScratchDirectory()
    onTestFinished(() => scratch.remove())
    const result = await runBackupProgram(cluster, {
      directory: join(scratch.path, 'backup'),
      args: [`--tablespace-mapping=${location}=${join(scratch.path, 'tablespace')}`, ...args],
    })
    await expectNothingLeft(cluster)
    return { result, left: await listTree(scratch.path) }
  }

  describe.each(['SQL', 'an agent'] as const)('over %s', (way) => {
    const wayThere = (): string[] => (way === 'SQL' ? [] : [`--agent=${agent.socketDirectory}`])

    test.each([
      ['the link of a tablespace leads nowhere', moveAway, () => `tablespace ${oid}`],
      ['its volume is not mounted', unmount, () => `tablespace ${oid}`],
      ['it has no link', unlink, () => `tablespace ${oid}`],
      ['the directory of a database is gone', hideDatabase, () => `the directory of database ${databaseOid}`],
    ] as const)('%s: no backup', async (_what, hide, what) => {
      const show = hide()
      try {
        const { result, left } = await backUp(wayThere())
        const { status, error } = failureOf(result)
        expect(error).toContain(`the server has ${what()}`)
        expect(error).toContain('but its files are not there')
        expect(status).toBe(6)
        expect(left).toEqual([])
      } finally {
        show()
      }
    })

    test('all is visible: a backup', async () => {
      const { result, left } = await backUp(wayThere())
      expect(result).toMatchObject({ status: 0 })
      expect(left?.some((name) => /^tablespace\/PG_[^/]+\/[0-9]+\/[0-9]+$/.test(name))).toBe(true)
    })
  })

  test('a tablespace that is dropped while it is looked for is missed by nobody', async () => {
    await cluster.createTablespace('short')
    const [row] = await cluster.sql<{ oid: string }>(
      `SELECT oid::text FROM pg_tablespace WHERE spcname = 'short'`,
    )
    const mode = await PlainBackupMode.open(cluster)
    onTestFinished(() => mode.close())
    let isDropped = false
    const files = await LocalClusterFiles.open(cluster.dataDirectory)
    const listed = await listVisibleTablespaces(
      {
        files,
        mode: {
          lost: mode.lost,
          facts: () => mode.facts(),
          findWalSender: () => mode.findWalSender(),
          start: (options) => mode.start(options),
          stop: (options) => mode.stop(options),
          timelineHistory: () => mode.timelineHistory(),
          walSummarizer: () => mode.walSummarizer(),
          abandon: () => mode.close(),
          close: () => mode.close(),
          directories: async () => {
            const known = await mode.directories()
            if (!isDropped) await cluster.sql('DROP TABLESPACE short')
            isDropped = true
            return known
          },
        },
      },
      { withSizes: false, signal: new AbortController().signal, plan: undefined },
    )
    expect(listed.map((tablespace) => String(tablespace.oid))).toEqual([oid, 'undefined'])
    expect(row?.oid).not.toBe(oid)
  })

  test('an agent that sees no WAL says so before anything is copied, where WAL is to be fetched', async () => {
    const view = createScratchDirectory()
    for (const name of readdirSync(cluster.dataDirectory)) {
      symlinkSync(
        name === 'pg_wal' ? '/no/such/volume' : join(cluster.dataDirectory, name),
        join(view.path, name),
      )
    }
    const blind = await AgentProgram.start({
      dataDirectory: view.path,
      socketDirectory: cluster.socketDirectory,
      port: cluster.port,
    })
    onTestFinished(async () => {
      await blind.stop()
      view.remove()
    })
    const { result, left } = await backUp([`--agent=${blind.socketDirectory}`, '--wal-method=fetch'])
    expect(failureOf(result).error).toContain(`could not open directory "${view.path}/pg_wal"`)
    expect(left).toEqual([])
  })
})
