import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { SessionCommand } from '../../../src/transfer/commands/replication-command.js'
import type { BackupSession } from '../../../src/transfer/session/backup-session.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { run, type Sessions, sessionsOf, startBackup } from './take-parallel-backup.js'
import { unsized } from '../../helpers/unsized.js'

const stop: SessionCommand = { command: 'STOP_BACKUP', wait: false }
const unknown = '0'.repeat(32)

describeWithDebianPostgres('a session refuses', (programs) => {
  let cluster: Cluster
  let sessions: Sessions
  let fragments: string
  let number = 0

  beforeAll(async () => {
    cluster = await createCluster(programs, { walSegmentMegabytes: 1 })
  })

  afterAll(() => cluster.remove())

  beforeEach(() => {
    fragments = join(cluster.scratch.path, `fragments${++number}`)
    mkdirSync(fragments)
    sessions = sessionsOf(cluster, fragments)
  })

  test.each<[SessionCommand]>([
    [{ command: 'LIST_TABLESPACES', progress: true }],
    [{ command: 'LEAVE_BACKUP' }],
    [{ command: 'LIST_FILES', tablespace: undefined }],
    [{ command: 'LIST_WAL_FILES', startLsn: undefined, endLsn: undefined }],
    [sendFile('PG_VERSION')],
    [stop],
    [{ command: 'BUILD_MANIFEST', backupId: unknown }],
  ])('$command before it has started or joined a backup', async (command) => {
    const session = await sessions.lead()
    await expect(exhaust(session, command)).rejects.toMatchObject({
      code: 'USAGE',
      message: 'this session has neither started nor joined a backup',
    })
    await session.finish()
  })

  test.each([
    [{ label: 'two\nlines' }, 'a backup label cannot hold a line break'],
    [{ label: '\udcff' }, 'a backup label must be valid UTF-8'],
    [{ label: 'a\0b' }, 'a backup label cannot hold a null byte'],
    [{ maxRate: 31 }, '31 is outside the valid range for parameter "MAX_RATE" (32 .. 1048576)'],
    [{ maxRate: 32.5 }, '32.5 is outside the valid range for parameter "MAX_RATE" (32 .. 1048576)'],
    [
      { manifest: 'no', manifestChecksums: 'CRC32C' } as const,
      'manifest checksums require a backup manifest',
    ],
    [{ label: 'x'.repeat(1025) }, 'backup label too long (max 1024 bytes)'],
    [{ manifestChecksums: 'MD5' }, 'unrecognized checksum algorithm: "MD5"'],
  ])('to start a backup with %o', async (options, message) => {
    const session = await sessions.lead()
    await expect(run(session, { ...startBackup, ...options })).rejects.toMatchObject({
      code: 'USAGE',
      message,
    })
    // The label of that length is fine otherwise.
    await run(session, { ...startBackup, label: 'x'.repeat(1024), manifestChecksums: 'sha224' })
    await session.abort()
  })

  test('to join what is no backup, or one that has ended', async () => {
    const leader = await sessions.lead()
    const { backupId } = await run(leader, startBackup)
    const worker = await sessions.work()
    for (const [id, shown] of [
      [unknown, unknown],
      ['\n', String.raw`\x0a`],
      ['x'.repeat(1000), `${'x'.repeat(64)}... (1000 characters)`],
    ] as const) {
      await expect(run(worker, { command: 'JOIN_BACKUP', backupId: id })).rejects.toMatchObject({
        code: 'USAGE',
        message: `backup "${shown}" does not exist`,
      })
    }
    await exhaust(leader, stop)
    await expect(run(worker, { command: 'JOIN_BACKUP', backupId })).rejects.toThrow(
      `could not join backup "${backupId}": it was stopped already`,
    )
    await leader.finish()
    await expect(run(worker, { command: 'JOIN_BACKUP', backupId })).rejects.toThrow(
      `could not join backup "${backupId}": it was aborted`,
    )
    await worker.finish()
    expect(readdirSync(fragments)).toEqual([])
  })

  test('to lead when it is a worker, and to be part of two backups', async () => {
    const leader = await sessions.lead()
    const { backupId } = await run(leader, startBackup)
    const worker = await sessions.work()
    await expect(run(worker, startBackup)).rejects.toThrow('this session can only join a backup')
    await run(worker, { command: 'JOIN_BACKUP', backupId })
    await expect(exhaust(worker, stop)).rejects.toThrow(
      /^only the session that started the backup can stop it$/,
    )
    await expect(exhaust(worker, { command: 'BUILD_MANIFEST', backupId })).rejects.toThrow(
      /^only the session that started the backup can build its manifest$/,
    )
    await expect(run(worker, { command: 'ABORT_BACKUP' })).rejects.toThrow(
      /^only the session that started the backup can abort it$/,
    )
    await expect(run(leader, { command: 'LEAVE_BACKUP' })).rejects.toThrow(/cannot leave it before/)
    await expect(run(leader, { command: 'JOIN_BACKUP', backupId })).rejects.toThrow(
      /part of a backup already$/,
    )
    await expect(run(leader, startBackup)).rejects.toThrow(/part of a backup already$/)
    await worker.finish()
    await leader.abort()
  })

  test('to stop twice, to send anything but WAL after that, and to build what cannot be built', async () => {
    const leader = await sessions.lead()
    const { backupId } = await run(leader, startBackup)
    const worker = await sessions.work()
    const lost = await sessions.work()
    await run(worker, { command: 'JOIN_BACKUP', backupId })
    await run(lost, { command: 'JOIN_BACKUP', backupId })
    const build: SessionCommand = { command: 'BUILD_MANIFEST', backupId }
    await expect(exhaust(leader, build)).rejects.toThrow('the backup has not been stopped')
    await exhaust(leader, stop)
    await expect(exhaust(leader, stop)).rejects.toThrow('the backup has been stopped already')
    await expect(exhaust(worker, sendFile('PG_VERSION'))).rejects.toThrow(
      /only files in "pg_wal" can be sent/,
    )
    const [segment] = await run(worker, { command: 'LIST_WAL_FILES', startLsn: undefined, endLsn: undefined })
    expect(await exhaust(worker, sendFile(`pg_wal/${segment?.name}`))).toContainEqual({
      type: 'end',
      size: segment?.size,
      modified: expect.closeTo(Date.now() / 1000, -3),
      checksum: undefined,
      throttledMs: 0,
    })
    await expect(exhaust(leader, { command: 'BUILD_MANIFEST', backupId: unknown })).rejects.toThrow(
      `this session leads backup "${backupId}"`,
    )
    await expect(exhaust(leader, build)).rejects.toThrow(/: 2 of 3 sessions of the backup have not finished$/)
    await worker.finish()
    await lost.abort()
    await expect(exhaust(leader, build)).rejects.toThrow(/: 1 of 3 sessions of the backup have not finished$/)
    await leader.finish()
    expect(readdirSync(fragments)).toEqual([])
  })

  test('to stop while files are being sent, and a second command meanwhile', async () => {
    const leader = await sessions.lead()
    const { backupId } = await run(leader, startBackup)
    const worker = await sessions.work()
    await run(worker, { command: 'JOIN_BACKUP', backupId })
    const stream = await run(worker, {
      command: 'SEND_FILE',
      files: unsized('PG_VERSION'),
      verifyChecksums: true,
    })
    const events = stream[Symbol.asyncIterator]()
    await events.next()
    await expect(exhaust(leader, stop)).rejects.toThrow(
      'the backup cannot be stopped while files are being sent',
    )
    await expect(run(worker, { command: 'LIST_FILES', tablespace: undefined })).rejects.toThrow(
      'another command of this session is running',
    )
    // A consumer that goes away, as `break` in a loop makes it, is the end of the command.
    await events.return?.()
    await exhaust(leader, stop)
    await worker.finish()
    const manifest = await exhaust(leader, { command: 'BUILD_MANIFEST', backupId })
    // What was not sent to its end is not recorded.
    expect(String(manifest[0])).not.toContain('PG_VERSION')
    await expect(exhaust(leader, { command: 'BUILD_MANIFEST', backupId })).rejects.toThrow(
      'the manifest was built already',
    )
    await leader.finish()
  })

  test('to start where no fragment can be written, and leaves backup mode', async () => {
    const leader = await sessionsOf(cluster, join(fragments, 'nowhere')).lead()
    await expect(run(leader, startBackup)).rejects.toMatchObject({ code: 'IO' })
    const rows = await cluster.sql(
      `SELECT FROM pg_stat_activity WHERE query LIKE '%pg_backup_start(%' AND pid <> pg_backend_pid()`,
    )
    expect(rows).toEqual([])
    await leader.abort()
  })
})

/** Runs a command to the end of what it streams. */
async function exhaust(session: BackupSession, command: SessionCommand): Promise<readonly unknown[]> {
  const result: unknown = await run(session, command)
  if (typeof result !== 'object' || result === null || !(Symbol.asyncIterator in result)) return []
  const items: unknown[] = []
  for await (const item of result as AsyncIterable<unknown>) items.push(item)
  return items
}

function sendFile(...pathnames: readonly string[]): SessionCommand {
  return { command: 'SEND_FILE', files: unsized(...pathnames), verifyChecksums: true }
}
