import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { LocalClusterFiles } from '../../../src/transfer/cluster-files/local/local-cluster-files.js'
import type { BackupMode } from '../../../src/transfer/cluster-files/cluster-files.js'
import { BackupRegistry } from '../../../src/transfer/session/backup.js'
import { ReplicationSession } from '../../../src/transfer/session/replication-session.js'
import { formatLsn } from '../../../src/postgres/lsn.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { PlainBackupMode } from '../../helpers/plain-backup-mode.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { parseBytes } from '../../manifest/parse-bytes.js'
import { run, startBackup } from './take-parallel-backup.js'

describeWithDebianPostgres('a backup that ended on another timeline', (programs) => {
  let cluster: Cluster
  let fragments: string
  let number = 0

  beforeAll(async () => {
    cluster = await createCluster(programs, { walSegmentMegabytes: 1 })
  })

  afterAll(() => cluster.remove())

  beforeEach(() => {
    fragments = join(cluster.scratch.path, `fragments${++number}`)
    mkdirSync(fragments)
  })

  /** As a standby would tell it whose upstream was promoted meanwhile, after one more byte of WAL. */
  async function modeAcrossPromotion(history: (startLsn: bigint) => string | undefined): Promise<BackupMode> {
    const mode = await PlainBackupMode.open(cluster)
    let startLsn = 0n
    return {
      lost: mode.lost,
      facts: () => mode.facts(),
      findWalSender: () => mode.findWalSender(),
      start: async (options) => {
        const start = await mode.start(options)
        startLsn = start.startLsn
        return start
      },
      directories: () => mode.directories(),
      stop: async (options) => ({ ...(await mode.stop(options)), endTimeline: 2 }),
      timelineHistory: async () => {
        const text = history(startLsn)
        return await Promise.resolve(text === undefined ? undefined : Buffer.from(text))
      },
      walSummarizer: () => mode.walSummarizer(),
      abandon: () => mode.close(),
      close: () => mode.close(),
    }
  }

  async function build(
    mode: BackupMode,
  ): Promise<{ readonly manifest: Buffer; readonly startLsn: bigint; readonly endLsn: bigint }> {
    const files = await LocalClusterFiles.open(cluster.dataDirectory)
    const session = new ReplicationSession({
      files,
      mode,
      registry: new BackupRegistry(),
      fragmentDirectory: fragments,
    })
    try {
      const { backupId, startLsn } = await run(session, startBackup)
      const { endLsn } = await run(session, { command: 'STOP_BACKUP', wait: false })
      const chunks: Buffer[] = []
      for await (const chunk of await run(session, { command: 'BUILD_MANIFEST', backupId }))
        chunks.push(Buffer.from(chunk))
      return { manifest: Buffer.concat(chunks), startLsn, endLsn }
    } finally {
      await session.finish()
    }
  }

  test('has a range of WAL for each', async () => {
    const mode = await modeAcrossPromotion((startLsn) => `1\t${formatLsn(startLsn + 1n)}\tpromoted\n`)
    const { manifest, startLsn, endLsn } = await build(mode)
    expect(parseBytes(manifest).walRanges).toEqual([
      { timeline: 2, startLsn: startLsn + 1n, endLsn },
      { timeline: 1, startLsn, endLsn: startLsn + 1n },
    ])
  })

  test.each([
    [
      'without its history',
      undefined,
      'CANNOT_MERGE',
      /^the backup ended on timeline 2, but the server does not have "00000002.history"$/,
    ],
    [
      'with another history',
      '',
      'CANNOT_MERGE',
      /^expected start timeline 1 but found timeline 2$|^start timeline 1 not found/,
    ],
    ['with a damaged history', 'x\n', 'BAD_FILE', /00000002\.history/],
  ])('gets no manifest %s', async (_, history, code, message) => {
    const mode = await modeAcrossPromotion(() => history)
    await expect(build(mode)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    expect(readdirSync(fragments)).toEqual([])
  })
})
