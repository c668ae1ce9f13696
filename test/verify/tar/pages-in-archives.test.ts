import { createReadStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type PbManifestError, verifyArchiveStream, verifyBackup, type VerifyReport } from 'pbmanifest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { takeUnpackedBackup } from '../../helpers/backup-chain.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import type { BackupCopy } from '../../helpers/copy-backup.js'
import type { PlainBackup } from '../../helpers/plain-backup.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { packTarBackup } from '../../helpers/tar-backups.js'
import { mergedReport } from '../../shards/merged-report.js'
import { flipBit, largestFile, overwrite, removeFile } from '../damage.js'
import { linkedCopy } from '../linked-copy.js'
import { sameForAnyJobs } from '../same-for-any-jobs.js'

const limit = 240_000
const table = 'base/5/'

/** What was found, in the words of archives or not, and what was not looked at. */
function findings({ problems, pages, notChecked, verdict }: VerifyReport): unknown {
  const found = problems.map(({ kind, path, message }) => `${kind} ${path ?? ''} ${message}`)
  const told = found.map((line) => line.replace(/ in archive "[^"]*"/, ''))
  return { verdict, pages, left: notChecked.map(({ what, why }) => `${what}: ${why}`), told: told.toSorted() }
}

interface Row {
  readonly what: string
  readonly damage: (backup: PlainBackup) => Promise<unknown>
  readonly kinds: readonly string[]
}

const wrongPage = ['checksum-mismatch', 'page-checksum']

describe.each([
  { name: 'with checksums', dataChecksums: true },
  { name: 'without checksums', dataChecksums: false },
])('the pages of a cluster $name, in archives', ({ dataChecksums }) => {
  let cluster: Cluster
  let full: PlainBackup
  let incremental: PlainBackup
  let copy: BackupCopy | undefined
  let packed: string

  beforeAll(async () => {
    const settings = { summarize_wal: true }
    cluster = await createCluster(await embeddedPostgres(), { settings, dataChecksums })
    await cluster.sql(
      `CREATE TABLE many AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 60000) AS n`,
    )
    await cluster.createTablespace('other')
    await cluster.sql(
      'CREATE TABLE elsewhere TABLESPACE other AS SELECT n FROM generate_series(1, 2000) AS n',
    )
    full = await takeUnpackedBackup(cluster, 'full')
    await cluster.sql('UPDATE many SET n = -n WHERE n % 5000 = 1')
    incremental = await takeUnpackedBackup(cluster, 'incremental', full)
  }, limit)

  afterAll(() => cluster.remove())

  beforeEach(() => {
    copy = undefined
  })

  afterEach(() => copy?.remove())

  async function packedCopy(
    original: PlainBackup,
    damage: (backup: PlainBackup) => Promise<unknown>,
  ): Promise<PlainBackup> {
    copy = await linkedCopy(original)
    await damage(copy)
    packed = join(copy.root, 'packed')
    await packTarBackup(copy.directory, packed)
    return copy
  }

  const rows: readonly Row[] = [
    { what: 'nothing', damage: async () => {}, kinds: [] },
    {
      what: 'a wrong page',
      damage: async (b) => flipBit(b, await largestFile(b, table), 5000),
      kinds: wrongPage,
    },
    {
      what: 'a wrong page in a tablespace',
      damage: async (b) => flipBit(b, await largestFile(b, 'pg_tblspc/'), 5000),
      kinds: wrongPage,
    },
    {
      what: 'many wrong pages',
      damage: async (b) => {
        for (let page = 1; page < 20; page++)
          await flipBit(b, await largestFile(b, table), page * 8192 + 5000)
      },
      kinds: ['checksum-mismatch', ...Array<string>(6).fill('page-checksum')],
    },
    {
      what: 'a wrong page, and no pg_control',
      damage: async (b) => {
        await flipBit(b, await largestFile(b, table), 5000)
        await removeFile(b, 'global/pg_control')
      },
      kinds: ['checksum-mismatch', 'missing'],
    },
  ]

  test.each(rows)('are found to have $what, as in the directory', async ({ damage, kinds }) => {
    const { directory } = await packedCopy(full, damage)
    const plain = await verifyBackup(directory)
    const expected = dataChecksums ? kinds : kinds.filter((kind) => kind !== 'page-checksum')
    expect(plain.problems.map(({ kind }) => kind).toSorted()).toEqual(expected)
    expect(plain.pages.checked > 1000).toBe(dataChecksums && !kinds.includes('missing'))
    expect(findings(await verifyBackup(packed))).toEqual(findings(plain))
    if (expected.includes('page-checksum')) await expectTheSameInShards(directory, packed)
    expect(findings(await verifyBackup(packed, { pageChecksums: 'off' }))).toEqual(
      findings(await verifyBackup(directory, { pageChecksums: 'off' })),
    )
    expect(findings(await verifyBackup(packed, { skipChecksums: true }))).toEqual(
      findings(await verifyBackup(directory, { skipChecksums: true })),
    )
  })

  test.each<Row>([
    { what: 'nothing', damage: async () => {}, kinds: [] },
    {
      what: 'a wrong header',
      damage: async (b) => overwrite(b, await incrementalFile(b), 0, Buffer.from('wrong')),
      kinds: ['checksum-mismatch', 'incremental-file'],
    },
    {
      what: 'a wrong page',
      damage: async (b) => flipBit(b, await incrementalFile(b), 8192 + 5000),
      kinds: wrongPage,
    },
  ])('are found to have $what in incremental files, as in the directory', async ({ damage, kinds }) => {
    const { directory } = await packedCopy(incremental, damage)
    const plain = await verifyBackup(directory)
    const expected = dataChecksums ? kinds : kinds.filter((kind) => kind !== 'page-checksum')
    expect(plain.problems.map(({ kind }) => kind).toSorted()).toEqual(expected)
    expect(findings(await verifyBackup(packed))).toEqual(findings(plain))
    if (expected.includes('page-checksum')) await expectTheSameInShards(directory, packed)
  })

  test('are checked on demand, or that is refused', async () => {
    const { directory } = await packedCopy(full, async (b) => flipBit(b, await largestFile(b, table), 5000))
    const options = { pageChecksums: 'on' } as const
    const outcome = async (of: string): Promise<unknown> =>
      await verifyBackup(of, options).then(
        findings,
        (error: PbManifestError) => `${error.code}: ${error.message}`,
      )
    const plain = await outcome(directory)
    const verdict = (plain as { verdict?: string }).verdict
    const refusal = 'USAGE: cannot check page checksums: data checksums are not enabled in the cluster'
    expect(verdict ?? plain).toBe(dataChecksums ? 'failed' : refusal)
    expect(await outcome(packed)).toEqual(plain)
    const skipped = verifyBackup(packed, { ...options, skipChecksums: true })
    await expect(skipped).rejects.toMatchObject({ code: 'USAGE' })
  })

  test('are checked on standard input, too', async () => {
    await packedCopy(full, async (b) => flipBit(b, await largestFile(b, table), 5000))
    const manifestPath = join(packed, 'backup_manifest')
    const report = await verifyArchiveStream(createReadStream(join(packed, 'base.tar')), { manifestPath })
    expect(report.problems.map(({ kind }) => kind).toSorted()).toEqual(
      dataChecksums ? wrongPage : ['checksum-mismatch'],
    )
    expect(report.pages.checked > 1000).toBe(dataChecksums)
    await rm(packed, { recursive: true })
  })
})

/** Which shard sees a page, and which one the WAL, makes no difference. */
async function expectTheSameInShards(...directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    const merged = sameForAnyJobs(await mergedReport(directory, 3))
    expect(merged).toEqual(sameForAnyJobs(await verifyBackup(directory)))
  }
}

async function incrementalFile(backup: PlainBackup): Promise<string> {
  return await largestFile(backup, `${table}INCREMENTAL.`)
}
