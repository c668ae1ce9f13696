import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFileHasher } from '../../../src/manifest/checksum/create-file-hasher.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { writeOddFiles } from '../../helpers/odd-files.js'
import { pgVerifyBackup } from '../../helpers/pg-verify-backup.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { parseBytes } from '../../manifest/parse-bytes.js'
import { AgentProgram } from './agent-program.js'
import { takeBackupWithPsql } from './psql-backup.js'
import { PsqlSession } from './psql-session.js'

describeWithDebianPostgres('pbmanifest serve, spoken to by psql,', (programs) => {
  let cluster: Cluster
  let agent: AgentProgram

  beforeAll(async () => {
    cluster = await createCluster(programs, { walSegmentMegabytes: 1, dataChecksums: true })
    await cluster.createTablespace('fast')
    await cluster.sql(`
      CREATE TABLE large AS SELECT n, repeat(md5(n::text), 8) AS filler FROM generate_series(1, 16000) AS n;
      CREATE TABLE small TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n;
      CHECKPOINT`)
    await writeOddFiles(cluster.dataDirectory)
    agent = await AgentProgram.start(cluster)
  })

  afterAll(async () => {
    await agent.stop()
    await cluster.remove()
  })

  test('prints the row of a backup that starts, and a list of those that run', async () => {
    const started = await agent.psql(['-c', "START_BACKUP LABEL 'x' FAST", '-c', 'LIST_BACKUPS'])
    expect(started).toMatchObject({ status: 0, stderr: '' })
    const lines = started.stdout.split('\n').map((line) => line.replaceAll(/ *\| */g, '|').trim())
    expect(lines).toEqual([
      'backup_id|start_lsn|timeline',
      expect.stringMatching(/^[-+]+$/),
      expect.stringMatching(/^[0-9a-f]{32}\|0\/[0-9A-F]+\|1$/),
      '(1 row)',
      '',
      'backup_id|label|workers|bytes|rate|state|bytes_expected',
      expect.stringMatching(/^[-+]+$/),
      expect.stringMatching(/^[0-9a-f]{32}\|x\|0\|0\|0\|running\|$/),
      '(1 row)',
      '',
      '',
    ])
    await agent.untilLogged('backup-aborted')
    expect(await agent.psql(['-Atc', 'LIST_BACKUPS'])).toMatchObject({ status: 0, stdout: '' })
  })

  test('points at the place of an error', async () => {
    expect(await agent.psql(['-c', "START_BACKUP LABEL 'é' FAST FAST"])).toMatchObject({
      status: 1,
      stderr: `ERROR:  duplicate option "fast"
LINE 1: START_BACKUP LABEL 'é' FAST FAST
                                    ^
`,
    })
  })

  test('sends a file that psql redirects, with the checksum that is in the manifest', async () => {
    const [row] = await cluster.sql<{ pathname: string }>(`SELECT pg_relation_filepath('large') AS pathname`)
    const pathname = row?.pathname ?? ''
    const session = new PsqlSession(agent)
    const [start = []] = await session.rows('START_BACKUP FAST', 3)
    const bytes = await session.run(`SEND_FILE ('${pathname}')`)
    await session.run('STOP_BACKUP NOWAIT')
    const manifest = parseBytes(await session.run(`BUILD_MANIFEST '${String(start[0])}'`))
    await session.quit()
    expect(bytes.equals(readFileSync(join(cluster.dataDirectory, pathname)))).toBe(true)
    const hasher = await createFileHasher('CRC32C')
    hasher.update(bytes)
    expect(manifest.files.find((file) => file.pathname === pathname)).toMatchObject({
      size: bytes.length,
      checksum: { algorithm: 'CRC32C', hex: hasher.digest() },
    })
  })

  test('gives a backup that pg_verifybackup accepts, while another one runs', async () => {
    const other = new PsqlSession(agent)
    const [start = []] = await other.rows("START_BACKUP LABEL 'other' FAST MAX_RATE 1024", 3)
    const directory = join(cluster.scratch.path, 'backup')
    const id = await takeBackupWithPsql(agent, directory, 2)
    expect(await pgVerifyBackup(programs, ['-n', directory])).toMatchObject({ status: 0, stderr: '' })
    await other.run("SEND_FILE ('PG_VERSION')")
    await other.run('STOP_BACKUP NOWAIT')
    const manifest = parseBytes(await other.run(`BUILD_MANIFEST '${String(start[0])}'`))
    expect(manifest.files.map(({ pathname }) => pathname)).toEqual(['PG_VERSION', 'backup_label'])
    await other.quit()
    expect(agent.fragments()).toEqual([])
    // Who has an id can join.
    for (const secret of [id, String(start[0])]) expect(agent.stderr).not.toContain(secret)
    expect(await agent.untilLogged('backup-finished', ({ sessions }) => sessions === 3)).toMatchObject({
      level: 'info',
      checksumFailures: 0,
    })
  })
})
