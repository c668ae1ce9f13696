import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pbmanifest } from '../../cli/pbmanifest.js'
import { copyBackup } from '../../helpers/copy-backup.js'
import type { PlainBackup } from '../../helpers/plain-backup.js'
import { realBackup } from '../../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { BUCKET, type ObjectStore, startStore } from '../../helpers/stores/object-store.js'
import { realTarBackups } from '../../helpers/tar-backups.js'
import { mergedReport } from '../../shards/merged-report.js'
import type { VerifyReport } from '../../../src/verify/report.js'
import { flipBit, largestFile, walSegments } from '../damage.js'
import { small } from '../oracle-rows.js'

const limit = 240_000

/** Files whose names are no UTF-8 cannot be objects. */
const options = ['--output=json', '-i', 'odd not utf-8*', '-i', 'odd overlong*']

/** What a report says but for where, when, and how fast. */
function essence(report: VerifyReport): Partial<VerifyReport> {
  const { verdict, problems, warnings, filesChecked, bytesChecked, pages, walRecords, walBytes } = report
  return { verdict, problems, warnings, filesChecked, bytesChecked, pages, walRecords, walBytes }
}

describeWithDebianPostgres('a real backup in an object store', (programs) => {
  let store: ObjectStore
  let backup: PlainBackup

  beforeAll(async () => {
    backup = await realBackup(programs)
    store = await startStore('s3rver')
  }, limit)

  afterAll(async () => store.close())

  async function reportOf(place: string): Promise<VerifyReport> {
    const { stdout, stderr } = await pbmanifest(['verify', ...options, place], store.env)
    expect(stderr).toBe('')
    return JSON.parse(stdout) as VerifyReport
  }

  async function expectSame(directory: string, prefix: string, shards: number): Promise<VerifyReport> {
    const address = `s3://${BUCKET}/${prefix}`
    const [stored, onDisk] = [await reportOf(address), await reportOf(directory)]
    expect(essence(stored)).toEqual(essence(onDisk))
    expect(stored).toMatchObject({ directory: `s3://${BUCKET}/${prefix}`, path: null, format: onDisk.format })
    const ignore = ['odd not utf-8*', 'odd overlong*']
    const merged = await mergedReport({ address, store: { env: store.env } }, shards, { ignore })
    expect(essence(merged)).toEqual(essence(onDisk))
    expect(merged.notChecked).toEqual(stored.notChecked)
    return stored
  }

  test(
    'has the report that it has on disk, also when it is damaged, and nothing else is read',
    async () => {
      await store.put('plainer/PG_VERSION', '15\n')
      await store.putDirectory(backup.directory, 'plain/')
      const report = await expectSame(backup.directory, 'plain', 1)
      expect(report.verdict).toBe('verified')
      const outside = store.proxy.requests.filter(({ url }) => !/[/=]plain(?:%2F|\/)/.test(url))
      expect(outside).toEqual([])
      const copy = await copyBackup(backup)
      try {
        const large = await largestFile(copy, 'base/')
        const segment = `pg_wal/${(await walSegments(copy))[0]}`
        await flipBit(copy, small)
        await flipBit(copy, large)
        await flipBit(copy, segment, 100)
        appendFileSync(join(copy.directory, 'base/1/1249'), 'x')
        writeFileSync(join(copy.directory, 'base/extra'), 'x')
        for (const key of [small, large, segment, 'base/1/1249', 'base/extra']) {
          await store.put(`plain/${key}`, readFileSync(join(copy.directory, key)))
        }
        rmSync(join(copy.directory, 'base/1/1259'))
        await store.remove('plain/base/1/1259')
        const { problemCounts } = await expectSame(copy.directory, 'plain', 3)
        expect(problemCounts).toMatchObject({
          'checksum-mismatch': 2,
          missing: 1,
          extra: 1,
          'size-mismatch': 1,
          'wal-invalid': 1,
        })
      } finally {
        copy.remove()
      }
    },
    limit,
  )

  test(
    'has the report that it has on disk in tar format',
    async () => {
      const directory = (await realTarBackups(programs)).gzip
      await store.putDirectory(directory, 'tar/')
      const report = await expectSame(directory, 'tar', 2)
      expect(report.verdict).toBe('verified')
      const bytes = readFileSync(join(directory, 'base.tar.gz'))
      await store.put('tar/base.tar.gz', bytes.subarray(0, bytes.length >> 1))
      await store.put('tar/notes.txt', 'x')
      const { verdict, problems } = await reportOf(`s3://${BUCKET}/tar`)
      expect([verdict, problems[0]?.path, problems[1]?.path]).toEqual(['failed', 'notes.txt', 'base.tar.gz'])
    },
    limit,
  )
})
