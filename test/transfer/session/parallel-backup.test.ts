import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parseBytes } from '../../manifest/parse-bytes.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { writeOddFiles } from '../../helpers/odd-files.js'
import { pgVerifyBackup } from '../../helpers/pg-verify-backup.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { type Sessions, run, sessionsOf, startBackup, takeParallelBackup } from './take-parallel-backup.js'
import { unsized } from '../../helpers/unsized.js'

describeWithDebianPostgres('sessions over a running PostgreSQL 15', (programs) => {
  let cluster: Cluster
  let sessions: Sessions
  let fragments: string
  let number = 0

  beforeAll(async () => {
    cluster = await createCluster(programs, { walSegmentMegabytes: 1, dataChecksums: true })
    await cluster.createTablespace('fast')
    await cluster.sql(`
      CREATE TABLE large AS SELECT n, repeat(md5(n::text), 8) AS filler FROM generate_series(1, 16000) AS n;
      CREATE TABLE small TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n;
      CREATE UNLOGGED TABLE unlogged AS SELECT n FROM generate_series(1, 1000) AS n;
      CHECKPOINT`)
    await writeOddFiles(cluster.dataDirectory)
  })

  afterAll(() => cluster.remove())

  beforeEach(() => {
    fragments = join(cluster.scratch.path, `fragments${++number}`)
    mkdirSync(fragments)
    sessions = sessionsOf(cluster, fragments)
  })

  function target(name: string): string {
    return join(cluster.scratch.path, `${name}${number}`)
  }

  test.each([
    ['CRC32C', undefined],
    ['SHA256', 'sha256'],
    ['NONE', 'none'],
  ])('make a backup that pg_verifybackup accepts, with %s', async (algorithm, manifestChecksums) => {
    const directory = target('backup')
    const backup = await takeParallelBackup(sessions, directory, 2, { manifestChecksums })
    expect(await pgVerifyBackup(programs, ['-n', directory])).toMatchObject({ status: 0, stderr: '' })
    const { files } = parseBytes(readFileSync(join(directory, 'backup_manifest')))
    const algorithms = new Set(files.map((file) => file.checksum?.algorithm ?? 'NONE'))
    expect([...algorithms]).toEqual([algorithm])
    expect(backup.checksumFailures).toBe(0)
    expect(sessions.notices).toEqual([])
    expect(readdirSync(fragments)).toEqual([])
  })

  test('list what the server itself lists', async () => {
    const directory = target('backup')
    await takeParallelBackup(sessions, directory, 1)
    const own = parseBytes(readFileSync(join(directory, 'backup_manifest')))
    const { realManifest } = await import('./real-manifest.js')
    const theirs = await realManifest(cluster, `peer${number}`)
    expect(pathnamesOf(own.files)).toEqual(pathnamesOf(theirs.files))
    expect(own.version).toBe(theirs.version)
  })

  test('make the same manifest of an idle server with one worker and with eight', async () => {
    const one = await takeParallelBackup(sessions, target('one'), 1)
    const eight = await takeParallelBackup(sessions, target('eight'), 8)
    expect(withoutItsOwn(eight.manifest)).toEqual(withoutItsOwn(one.manifest))
    expect(withoutItsOwn(one.manifest).length).toBeGreaterThan(600)
  })

  test('encode every pathname when told to', async () => {
    const { manifest } = await takeParallelBackup(sessions, target('backup'), 2, { manifest: 'force-encode' })
    expect(manifest).not.toContain('"Path"')
    expect(manifest).toContain(`"Encoded-Path": "${Buffer.from('backup_label').toString('hex')}"`)
  })

  test('write no fragment without a manifest, and refuse to build one', async () => {
    const leader = await sessions.lead()
    const { backupId } = await run(leader, { ...startBackup, manifest: 'no' })
    const worker = await sessions.work()
    await run(worker, { command: 'JOIN_BACKUP', backupId })
    expect(readdirSync(fragments)).toEqual([])
    await worker.finish()
    await run(leader, { command: 'STOP_BACKUP', wait: false })
    await expect(drain(run(leader, { command: 'BUILD_MANIFEST', backupId }))).rejects.toMatchObject({
      code: 'USAGE',
      message: 'the backup was started without a manifest',
    })
    await leader.finish()
    expect(readdirSync(fragments)).toEqual([])
  })

  test('make two backups side by side, which do not see each other', async () => {
    const [first, second] = await Promise.all([
      takeParallelBackup(sessions, target('first'), 2),
      takeParallelBackup(sessions, target('second'), 3, { manifestChecksums: 'SHA512' }),
    ])
    expect(first.backupId).not.toBe(second.backupId)
    for (const directory of [target('first'), target('second')]) {
      expect(await pgVerifyBackup(programs, ['-n', directory])).toMatchObject({ status: 0, stderr: '' })
    }
    expect(readdirSync(fragments)).toEqual([])
  })

  test('count what is streamed and expected', async () => {
    const leader = await sessions.lead()
    const { backupId } = await run(leader, startBackup)
    const tablespaces = await run(leader, { command: 'LIST_TABLESPACES', progress: true })
    await drain(run(leader, { command: 'SEND_FILE', files: unsized('PG_VERSION'), verifyChecksums: true }))
    const { BackupState } = await import('../../../src/transfer/session/backup-state.js')
    const handle = sessions.registry.get(backupId)
    // As a message carries it to another thread.
    const state = handle && new BackupState(structuredClone(handle).memory)
    expect(state?.bytesStreamed).toBe(3)
    expect(state?.bytesExpected).toBe(tablespaces.reduce((sum, { bytes = 0 }) => sum + bytes, 0))
    expect(state?.bytesExpected).toBeGreaterThan(14_000_000)
    await leader.abort()
    expect(state?.phase).toBe('aborted')
  })

  describe('an aborted leader', () => {
    test('leaves no fragment and no backup mode, and its workers cannot go on', async () => {
      const leader = await sessions.lead()
      const { backupId } = await run(leader, startBackup)
      const [worker, done] = [await sessions.work(), await sessions.work()]
      await run(worker, { command: 'JOIN_BACKUP', backupId })
      await run(done, { command: 'JOIN_BACKUP', backupId })
      await done.finish()
      expect(readdirSync(fragments)).toHaveLength(3)
      const stream = await run(worker, {
        command: 'SEND_FILE',
        files: unsized('PG_VERSION', 'postgresql.conf'),
        verifyChecksums: true,
      })
      const events = stream[Symbol.asyncIterator]()
      await events.next()
      await leader.abort()
      await leader.abort()
      await expect(events.next()).rejects.toMatchObject({
        code: 'ABORTED',
        message: `backup "${backupId}" was aborted`,
      })
      await expect(worker.finish()).rejects.toMatchObject({ code: 'ABORTED' })
      await expect(run(leader, { command: 'STOP_BACKUP', wait: false })).rejects.toThrow(
        'the session has ended',
      )
      const late = await sessions.work()
      await expect(run(late, { command: 'JOIN_BACKUP', backupId })).rejects.toThrow(/: it was aborted$/)
      expect(readdirSync(fragments)).toEqual([])
      // The connection that was in backup mode is gone.
      const rows = await cluster.sql(
        `SELECT FROM pg_stat_activity WHERE query LIKE '%pg_backup_start(%' AND pid <> pg_backend_pid()`,
      )
      expect(rows).toEqual([])
    })

    test('is what one is that ends before the manifest', async () => {
      const leader = await sessions.lead()
      await run(leader, startBackup)
      await run(leader, { command: 'STOP_BACKUP', wait: false })
      expect(readdirSync(fragments)).toHaveLength(1)
      await leader.finish()
      expect(readdirSync(fragments)).toEqual([])
    })

    test('may have asked for it, which a session that left before does not notice', async () => {
      const leader = await sessions.lead()
      await run(leader, { command: 'ABORT_BACKUP' })
      expect(await run(leader, { command: 'IDENTIFY_CLUSTER' })).toMatchObject({ majorVersion: 15 })
      const start = await run(leader, startBackup)
      const worker = await sessions.work()
      expect(await run(worker, { command: 'LIST_TABLESPACES', progress: false })).toHaveLength(2)
      await run(worker, { command: 'JOIN_BACKUP', backupId: start.backupId })
      await run(worker, { command: 'LEAVE_BACKUP' })
      await expect(run(worker, { command: 'LEAVE_BACKUP' })).rejects.toThrow('the session has ended')
      expect(readdirSync(fragments)).toHaveLength(2)
      await run(leader, { command: 'ABORT_BACKUP' })
      expect(readdirSync(fragments)).toEqual([])
      await worker.finish()
      await leader.finish()
    })

    test('may be in the middle of a file that nobody reads on', async () => {
      const leader = await sessions.lead()
      await run(leader, startBackup)
      const stream = await run(leader, {
        command: 'SEND_FILE',
        files: unsized('postgresql.conf'),
        verifyChecksums: true,
      })
      const events = stream[Symbol.asyncIterator]()
      await events.next()
      await expect(leader.finish()).rejects.toThrow(/while a command was running/)
      expect(await events.next()).toMatchObject({ done: true })
      expect(readdirSync(fragments)).toEqual([])
    })
  })
})

function pathnamesOf(files: readonly { readonly pathname: string }[]): string[] {
  return files
    .map((file) => file.pathname)
    .filter((pathname) => !pathname.startsWith('pg_wal/'))
    .toSorted()
}

/** Without what differs from one backup to the next: backup_label, pg_control, times, WAL positions. */
function withoutItsOwn(manifest: string): string[] {
  return manifest
    .replaceAll(/"Last-Modified": "[^"]*"/g, '')
    .split('\n')
    .filter((line) => !/"(?:backup_label|global\/pg_control)"|^{ "Timeline"|^"Manifest-Checksum"/.test(line))
}

async function drain(stream: Promise<AsyncIterable<unknown>>): Promise<void> {
  for await (const _ of await stream);
}
