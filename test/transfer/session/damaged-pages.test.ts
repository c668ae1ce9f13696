import { closeSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { pgVerifyBackup } from '../../helpers/pg-verify-backup.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { run, type Sessions, sessionsOf, startBackup, takeParallelBackup } from './take-parallel-backup.js'
import { unsized } from '../../helpers/unsized.js'

describeWithDebianPostgres('a cluster with page checksums and a damaged page', (programs) => {
  let cluster: Cluster
  let sessions: Sessions
  let pathname: string

  beforeAll(async () => {
    cluster = await createCluster(programs, { walSegmentMegabytes: 1, dataChecksums: true })
    const [row] = await cluster.sql<{ path: string }>(`
      CREATE TABLE damaged AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 1000) AS n;
      CHECKPOINT;
      SELECT pg_relation_filepath('damaged') AS path`)
    pathname = row?.path ?? ''
    flipByte(3 * 8192 + 5000)
    const fragments = join(cluster.scratch.path, 'fragments')
    mkdirSync(fragments)
    sessions = sessionsOf(cluster, fragments)
  })

  afterAll(() => cluster.remove())

  function flipByte(offset: number): void {
    const descriptor = openSync(join(cluster.dataDirectory, pathname), 'r+')
    const byte = Buffer.alloc(1)
    readSync(descriptor, byte, 0, 1, offset)
    writeSync(descriptor, Buffer.of((byte[0] ?? 0) ^ 0xff), 0, 1, offset)
    closeSync(descriptor)
  }

  async function sendDamaged(verifyChecksums: boolean): Promise<number> {
    const leader = await sessions.lead()
    await run(leader, startBackup)
    for await (const _ of await run(leader, {
      command: 'SEND_FILE',
      files: unsized(pathname),
      verifyChecksums,
    }));
    const { checksumFailures } = await run(leader, { command: 'STOP_BACKUP', wait: false })
    await leader.abort()
    return checksumFailures
  }

  test('is backed up with its manifest, and the failure is told of', async () => {
    sessions.notices.length = 0
    const directory = join(cluster.scratch.path, 'backup')
    const { checksumFailures } = await takeParallelBackup(sessions, directory, 2)
    expect(checksumFailures).toBe(1)
    expect(sessions.notices).toEqual([
      expect.stringMatching(
        `^checksum verification failed in file "${pathname}", block 3: calculated [0-9A-F]+ but expected [0-9A-F]+$`,
      ),
    ])
    expect(await pgVerifyBackup(programs, ['-n', directory])).toMatchObject({ status: 0, stderr: '' })
  })

  test('is not looked at when that is not wanted', async () => {
    sessions.notices.length = 0
    expect(await sendDamaged(true)).toBe(1)
    expect(await sendDamaged(false)).toBe(0)
    expect(sessions.notices).toHaveLength(1)
  })

  test('may have one that was changed after the start, as its LSN says', async () => {
    const descriptor = openSync(join(cluster.dataDirectory, pathname), 'r+')
    const lsn = Buffer.alloc(8, 0x7f)
    const before = Buffer.alloc(8)
    readSync(descriptor, before, 0, 8, 3 * 8192)
    try {
      writeSync(descriptor, lsn, 0, 8, 3 * 8192)
      expect(await sendDamaged(true)).toBe(0)
    } finally {
      writeSync(descriptor, before, 0, 8, 3 * 8192)
      closeSync(descriptor)
    }
    expect(await sendDamaged(true)).toBe(1)
  })
})
