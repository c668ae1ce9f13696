import { createHash } from 'node:crypto'
import { createReadStream, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { pbmanifest } from '../../cli/pbmanifest.js'
import { takeUnpackedBackup } from '../../helpers/backup-chain.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { connectSql } from '../../helpers/sql-client.js'
import { FaultProxy } from '../../helpers/fault-proxy.js'
import { SqlBackupMode } from '../../../src/transfer/cluster-files/sql/sql-backup-mode.js'
import { SqlClusterFiles } from '../../../src/transfer/cluster-files/sql/sql-cluster-files.js'
import type { BackupReport } from '../../../src/transfer/client/report.js'
import type { SessionNotice } from '../../../src/transfer/session/backup-session.js'
import { prepareIncremental } from '../../../src/transfer/session/incremental/prepare-incremental.js'
import { readPriorManifest } from '../../../src/transfer/session/incremental/prior-backup.js'
import type { PlainBackup } from '../../helpers/plain-backup.js'
import { poll } from '../../helpers/poll.js'
import { newestPostgres } from '../../helpers/postgres-programs.js'
import { requireDebianPostgres } from '../../helpers/requires.js'
import type { ProgramResult } from '../../helpers/run-program.js'
import { BUCKET, startStore } from '../../helpers/stores/object-store.js'
import { AgentProgram } from '../agent/agent-program.js'
import { expectNothingLeft, listTree, manifestFileLines, runBackupProgram } from './backup-program.js'
import { createRestoreSite, startRestored } from './restored-cluster.js'

const timeout = 240_000

describe.each(newestPostgres())('incremental backups of $name', ({ programs }) => {
  let cluster: Cluster
  let location: string
  let agent: AgentProgram
  let full: PlainBackup
  let theirs: PlainBackup
  let number = 0

  beforeAll(async () => {
    cluster = await createCluster(await programs(), {
      dataChecksums: true,
      settings: { summarize_wal: true, autovacuum: false, bgwriter_lru_maxpages: 0 },
    })
    location = await cluster.createTablespace('elsewhere')
    await cluster.sql(`
      CREATE TABLE changed AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 60000) AS n;
      CREATE TABLE cut AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 20000) AS n;
      CREATE TABLE emptied AS SELECT n FROM generate_series(1, 2000) AS n;
      CREATE TABLE dropped AS SELECT n FROM generate_series(1, 2000) AS n;
      CREATE TABLE there TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 20000) AS n;
      CREATE UNLOGGED TABLE unlogged AS SELECT n FROM generate_series(1, 1000) AS n;
    `)
    await cluster.sql('VACUUM')
    full = await takeUnpackedBackup(cluster, 'full')
    await cluster.sql(`
      UPDATE changed SET n = -n WHERE n % 5000 = 1;
      UPDATE there SET n = -n WHERE n = 1;
      DELETE FROM cut WHERE n > 5000;
      TRUNCATE emptied;
      DROP TABLE dropped;
      CREATE TABLE made AS SELECT n FROM generate_series(1, 2000) AS n;
    `)
    await cluster.sql('VACUUM cut')
    await cluster.sql('CREATE DATABASE copied STRATEGY file_copy')
    await cluster.sql('CREATE DATABASE logged STRATEGY wal_log')
    // So that nobody has anything left to note in the catalog.
    await cluster.sql('VACUUM')
    await cluster.sql('CHECKPOINT')
    theirs = await takeUnpackedBackup(cluster, 'theirs', full)
    agent = await AgentProgram.start(cluster)
  }, timeout)

  afterAll(async () => {
    await agent.stop()
    await cluster.remove()
  })

  /** Takes a backup by our program. */
  async function take(
    prior: string | undefined,
    ...args: readonly string[]
  ): Promise<ProgramResult & { readonly directory: string }> {
    return await takeBy(prior, args)
  }

  async function takeBy(
    prior: string | undefined,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<ProgramResult & { readonly directory: string }> {
    const root = join(cluster.scratch.path, `ours${++number}`)
    const directory = join(root, 'data')
    const result = await runBackupProgram(cluster, {
      directory,
      args: [
        ...(prior === undefined ? [] : [`--incremental=${prior}`]),
        `--tablespace-mapping=${location}=${join(root, 'elsewhere')}`,
        '--jobs=2',
        ...args,
      ],
      env,
    })
    return { ...result, directory }
  }

  async function refusalOf(prior: string, ...args: readonly string[]): Promise<unknown> {
    const { directory, ...result } = await take(prior, ...args)
    await expectNothingLeft(cluster)
    return { ...result, left: await listTree(directory) }
  }

  /** A manifest that says something else in one place, and has the checksum for it. */
  async function edited(name: string, from: RegExp, to: string): Promise<string> {
    const path = join(cluster.scratch.path, name)
    const text = readFileSync(full.manifestPath, 'utf8').replace(from, to)
    const content = text.slice(0, text.lastIndexOf('"Manifest-Checksum"'))
    const checksum = createHash('sha256').update(content).digest('hex')
    writeFileSync(path, `${content}"Manifest-Checksum": "${checksum}"}\n`)
    return path
  }

  const lines = {
    'over SQL': {
      start: () => FaultProxy.start(cluster.socketDirectory, cluster.port),
      sends: 'SELECT given, bytes',
      options: ({ directory }: FaultProxy) => ({ args: [], env: { PGHOST: directory } }),
    },
    'from an agent': {
      start: () => FaultProxy.start(agent.socketDirectory, agent.port),
      sends: 'SEND_FILE',
      options: ({ directory }: FaultProxy) => ({ args: ['--agent', directory, '--max-rate=200M'], env: {} }),
    },
  } as const

  // A worker is cut off in the header of what it asks for, in the middle, and once more.
  test.each(['over SQL', 'from an agent'] as const)(
    'are, %s, over a bad line, file for file those of the server',
    { timeout },
    async (name) => {
      const { start, sends, options } = lines[name]
      const proxy = await start()
      onTestFinished(() => proxy.close())
      const cuts = [9, undefined, 20_000, undefined, 9000]
      proxy.limit = ({ text }) => (text.includes(sends) ? cuts.shift() : undefined)
      const { args, env } = options(proxy)
      const ours = await takeBy(full.manifestPath, ['--output=json', '--label=theirs', ...args], env)
      expect(ours.stderr.replaceAll(/^.*warning: worker [01] has connected again, attempt .*\n/gm, '')).toBe(
        '',
      )
      expect(ours.status).toBe(0)
      proxy.close()
      const written = await manifestFileLines(ours.directory)
      const expected = (await manifestFileLines(theirs.directory)).filter(
        (line) => !line.includes('"pg_wal/'),
      )
      // In its manifest, the server has its files as it came to them.
      expect(written.toSorted()).toEqual(expected.toSorted())
      const incremental = written.filter((line) => line.includes('/INCREMENTAL.'))
      expect(incremental.length).toBeGreaterThan(300)
      const report = JSON.parse(ours.stdout) as BackupReport
      // Which answers are that long, nobody knows; the first cut is in the header of whichever comes first.
      expect(report.workers.reduce((sum, { reconnects }) => sum + reconnects, 0)).toBeGreaterThanOrEqual(1)
      const label = readFileSync(join(theirs.directory, 'backup_label'), 'utf8')
      const [, fromLsn] = /^INCREMENTAL FROM LSN: (.*)$/m.exec(label) ?? []
      expect(report).toMatchObject({
        incremental: {
          manifest: full.manifestPath,
          fromLsn,
          fromTimeline: 1,
          files: incremental.length,
          blocks: expect.any(Number),
          bytesSaved: expect.any(Number),
        },
        verification: { verdict: 'verified', problems: [] },
      })
      const ourLabel = readFileSync(join(ours.directory, 'backup_label'), 'utf8')
      expect(ourLabel.split('\n').slice(-3)).toEqual([
        `INCREMENTAL FROM LSN: ${fromLsn ?? ''}`,
        'INCREMENTAL FROM TLI: 1',
        '',
      ])
      await expectNothingLeft(cluster)
    },
  )

  test('are taken into an object store, and verified there', { timeout }, async () => {
    const store = await startStore('s3rver')
    try {
      const directory = `s3://${BUCKET}/incremental`
      const args = [`--incremental=${full.manifestPath}`, '-j2']
      const run = await runBackupProgram(cluster, { directory, args, env: store.env })
      expect(run).toMatchObject({ status: 0 })
      const written = store.proxy.requests.filter(({ method }) => method === 'PUT').map(({ url }) => url)
      expect(written).toContainEqual(expect.stringContaining('/INCREMENTAL.'))
      const verified = await pbmanifest(['verify', '--output=json', directory], store.env)
      expect(JSON.parse(verified.stdout)).toMatchObject({ verdict: 'verified', checksumsFrom: 'files' })
    } finally {
      await store.close()
    }
  })

  test('build on each other, whoever took them', { timeout }, async () => {
    const first = await take(full.manifestPath, '--wal-method=fetch')
    expect(first).toMatchObject({ status: 0, stderr: '' })
    expect(first.stdout).toMatch(
      /^incremental from 0\/[0-9A-F]+ on timeline 1: \d+ files by their changes, /m,
    )
    await cluster.sql('UPDATE changed SET n = -n WHERE n % 5000 = 2')
    const prior = {
      ...full,
      directory: first.directory,
      manifestPath: join(first.directory, 'backup_manifest'),
    }
    const second = await takeUnpackedBackup(cluster, 'second', prior)
    await cluster.sql('UPDATE changed SET n = -n WHERE n % 5000 = 3')
    const third = await take(second.manifestPath, '--agent', agent.socketDirectory)
    expect(third).toMatchObject({ status: 0, stderr: '' })
    const chain = [full.directory, first.directory, second.directory, third.directory]
    const verified = await pbmanifest(['verify', '--chain', '--output=json', ...chain])
    expect(verified.status).toBe(0)
    expect(JSON.parse(verified.stdout)).toMatchObject({ verdict: 'verified', combine: 'safe' })
  })

  test('are taken from a standby, and after its promotion', { timeout }, async () => {
    const site = createRestoreSite()
    const copy = await runBackupProgram(cluster, {
      directory: site.directory,
      args: [
        '--write-recovery-conf',
        `--tablespace-mapping=${location}=${join(site.scratch.path, 'elsewhere')}`,
      ],
    })
    expect(copy).toMatchObject({ status: 0 })
    const standby = await startRestored(cluster.programs, site, 'standby')
    try {
      await cluster.sql('UPDATE changed SET n = -n WHERE n % 5000 = 4; CHECKPOINT')
      const [row] = await cluster.sql<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn')
      await poll('the standby to replay', async () => {
        const [found] = await standby.sql<{ isThere: boolean }>(
          `SELECT pg_last_wal_replay_lsn() >= '${row?.lsn ?? ''}' AS "isThere"`,
        )
        return found?.isThere === true
      })
      const takeOf = async (name: string, prior: string): Promise<string> => {
        const directory = join(site.scratch.path, name)
        const args = [
          `--incremental=${prior}`,
          `--tablespace-mapping=${join(site.scratch.path, 'elsewhere')}=${directory}-elsewhere`,
        ]
        expect(await runBackupProgram(standby, { directory, args })).toMatchObject({ status: 0 })
        return directory
      }
      // A standby summarizes the WAL that it has received.
      const ofStandby = await takeOf('of-standby', join(site.directory, 'backup_manifest'))
      expect(incrementalOf(await manifestFileLines(ofStandby))).not.toEqual([])
      await standby.promote()
      await standby.sql('UPDATE changed SET n = -n WHERE n % 5000 = 5')
      const promoted = await takeOf('promoted', join(ofStandby, 'backup_manifest'))
      expect(readFileSync(join(promoted, 'backup_label'), 'utf8')).toMatch(
        /START TIMELINE: 2\nINCREMENTAL FROM LSN: .*\nINCREMENTAL FROM TLI: 1\n$/,
      )
      const reference = await takeUnpackedBackup(standby, 'reference', {
        ...full,
        manifestPath: join(ofStandby, 'backup_manifest'),
      })
      expect(incrementalOf(await manifestFileLines(promoted))).toEqual(
        incrementalOf(await manifestFileLines(reference.directory)),
      )
    } finally {
      await standby.remove()
    }
  })

  test('are taken by psql at an agent', { timeout }, async (context) => {
    requireDebianPostgres(context)
    const name = 'base/1/INCREMENTAL.1255'
    const commands = [
      'UPLOAD_MANIFEST',
      'START_BACKUP FAST INCREMENTAL',
      'LIST_FILES',
      `SEND_FILE ('${name}')`,
      'STOP_BACKUP NOWAIT',
    ]
    const args = commands.flatMap((command) => ['-c', command])
    // psql sends what comes from its standard input.
    const { status, stdout, stderr } = await agent.psql(['-At', ...args], {}, full.manifestPath)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const [, whole] = new RegExp(`^${name}\\|file\\|12\\|\\d+\\|0600\\|(\\d+)$`, 'm').exec(stdout) ?? []
    const content = readFileSync(join(theirs.directory, name))
    expect(content.readUInt32LE(8)).toBe(Number(whole) / 8192)
    expect(stdout).toContain(content.toString())
    expect(stdout).toMatch(/INCREMENTAL FROM TLI: 1/)
    const refused = await agent.psql(['-c', 'START_BACKUP FAST INCREMENTAL'])
    expect(refused).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('must UPLOAD_MANIFEST before starting an incremental backup'),
    })
  })

  test('end when the server does not get on with its summaries, after a warning', { timeout }, async () => {
    const mode = await SqlBackupMode.open(() => connectSql(cluster))
    const files = await SqlClusterFiles.open(() => connectSql(cluster))
    const { signal } = new AbortController()
    const facts = await mode.facts()
    const prior = await readPriorManifest(createReadStream(full.manifestPath), facts, signal)
    const pid = await poll('the summarizer', async () => {
      const [row] = await cluster.sql<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsummarizer'`,
      )
      return row?.pid
    })
    process.kill(pid, 'SIGSTOP')
    try {
      const start = await mode.start({ label: 'x', fast: true })
      const notices: SessionNotice[] = []
      const onNotice = (notice: SessionNotice): void => void notices.push(notice)
      const options = { mode, files, cluster: facts, onNotice, signal, cycleMs: 20 }
      await expect(prepareIncremental(prior, start, options)).rejects.toMatchObject({
        code: 'SERVER',
        message: 'WAL summarization is not progressing',
        details: [
          expect.stringMatching(/^Summarization is needed through .*, but is stuck at .* on disk and /),
        ],
      })
      expect(notices.length).toBeGreaterThan(4)
      expect(notices[0]).toMatchObject({
        severity: 'WARNING',
        message: expect.stringMatching(
          /^still waiting for WAL summarization through 0\/[0-9A-F]+ after 0 seconds$/,
        ),
      })
    } finally {
      process.kill(pid, 'SIGCONT')
      await Promise.all([mode.close(), files.close()])
    }
  })

  describe('are refused before anything is copied', () => {
    test('when the manifest is none, or another one', { timeout }, async () => {
      expect(await refusalOf(join(cluster.scratch.path, 'absent'))).toEqual(
        refused(5, /could not open file ".*absent": No such file/),
      )
      expect(await refusalOf(cluster.scratch.path)).toEqual(refused(5, /it is not a regular file/))
      const damaged = join(cluster.scratch.path, 'damaged')
      writeFileSync(damaged, readFileSync(full.manifestPath).subarray(0, -100))
      expect(await refusalOf(damaged)).toEqual(
        refused(3, /could not parse backup manifest: .* \(in ".*damaged"\)/),
      )
      const old = await edited(
        'old',
        /"PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": \d+,/,
        '"PostgreSQL-Backup-Manifest-Version": 1,',
      )
      expect(await refusalOf(old)).toEqual(
        refused(3, /backup manifest version 1 does not support incremental backup \(in ".*old"\)/),
      )
      const foreign = await edited('foreign', /"System-Identifier": \d+/, '"System-Identifier": 7')
      const words = /system identifier in backup manifest is 7, but database system identifier is \d+/
      expect(await refusalOf(foreign)).toEqual(refused(2, words))
    })

    test('when its WAL is not that of the server', { timeout }, async () => {
      const other = await edited('timeline', /"Timeline": 1/, '"Timeline": 9')
      const words = /timeline 9 found in manifest, but not in this server's history/
      expect(await refusalOf(other)).toEqual(refused(6, words))
      expect(await refusalOf(other, '--agent', agent.socketDirectory)).toEqual(refused(6, words))
    })

    test('and leave a session at an agent as it was', { timeout }, async (context) => {
      requireDebianPostgres(context)
      const other = await edited('lines', /"Timeline": 1/, '"Timeline": 9')
      const commands = [
        'UPLOAD_MANIFEST',
        'START_BACKUP FAST INCREMENTAL',
        'START_BACKUP FAST',
        'STOP_BACKUP NOWAIT',
      ]
      const args = commands.flatMap((command) => ['-c', command])
      const { status, stdout, stderr } = await agent.psql(['-At', ...args], {}, other)
      expect(stderr).toMatch(/^ERROR: {2}timeline 9 found in manifest, but not in this server's history$/m)
      expect(status).toBe(0)
      expect(stdout).toMatch(/^[0-9a-f]{32}\|[0-9A-F]+\/[0-9A-F]+\|1$/m)
    })

    test('when the server does not summarize, or has lost a summary', { timeout }, async () => {
      await cluster.sql('ALTER SYSTEM SET summarize_wal = off')
      await cluster.sql('SELECT pg_reload_conf()')
      const isOff = async (): Promise<boolean> => {
        const [row] = await cluster.sql<{ state: string }>(`SELECT current_setting('summarize_wal') AS state`)
        return row?.state === 'off'
      }
      await poll('summarization to be off', isOff)
      const words = /incremental backups cannot be taken unless WAL summarization is enabled/
      expect(await refusalOf(full.manifestPath)).toEqual(refused(6, words))
      await cluster.sql('ALTER SYSTEM RESET summarize_wal')
      await cluster.sql('SELECT pg_reload_conf()')
      await poll('summarization to be on', async () => !(await isOff()))

      const summaries = join(cluster.dataDirectory, 'pg_wal/summaries')
      const [, lost = ''] = readdirSync(summaries).toSorted().slice(-3)
      renameSync(join(summaries, lost), join(cluster.scratch.path, lost))
      const gap = /summaries for that timeline and LSN range are incomplete\n.*first unsummarized LSN/
      expect(await refusalOf(full.manifestPath)).toEqual(refused(6, gap))
      expect(await refusalOf(full.manifestPath, '--agent', agent.socketDirectory)).toEqual(refused(6, gap))
      writeFileSync(join(summaries, lost), readFileSync(join(cluster.scratch.path, lost)).fill(1, 10, 11))
      expect(await refusalOf(full.manifestPath)).toEqual(refused(5, /\.summary": has wrong checksum/))
    })
  })
})

function refused(status: number, words: RegExp): unknown {
  return expect.objectContaining({
    status,
    stdout: '',
    stderr: expect.stringMatching(words),
    left: undefined,
  })
}

/** What the manifest says of incremental files. */
function incrementalOf(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => line.includes('/INCREMENTAL.')).toSorted()
}
