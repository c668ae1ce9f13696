import { createHash } from 'node:crypto'
import { verifyStoredBackup } from 'pbmanifest'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { emptyFile, formatManifest, versionFile } from '../../cli/small-backup.js'
import { pbmanifest } from '../../cli/pbmanifest.js'
import { runCommandLine } from '../../cli/run-command-line.js'
import { BUCKET, type ObjectStore, startStore } from '../../helpers/stores/object-store.js'
import { errorAnswer } from '../../helpers/stores/store-proxy.js'
import type { VerifyReport } from '../../../src/verify/report.js'

const address = `s3://${BUCKET}/plain`

/** A small object has less than half of it. */
const large = { path: 'base/1/16385', size: 1_000_000, checksum: 'fc256cd0' }

const files = [
  { ...versionFile, bytes: Buffer.from('15\n') },
  { ...emptyFile, bytes: Buffer.alloc(0) },
  { ...large, bytes: Buffer.alloc(large.size, 1) },
]

let store: ObjectStore

beforeAll(async () => {
  store = await startStore('s3rver')
  await store.put('plain/backup_manifest', formatManifest(files))
})

beforeEach(async () => {
  store.proxy.reset()
  for (const { path, bytes, checksum } of files)
    await store.putWithChecksum(`plain/${path}`, bytes, asStored(checksum))
  store.proxy.reset()
})

afterAll(async () => store.close())

/** The most significant byte first, as stores have it. */
function asStored(checksum: string): { readonly ChecksumCRC32C: string } {
  return { ChecksumCRC32C: Buffer.from(Buffer.from(checksum, 'hex').toReversed()).toString('base64') }
}

async function verify(): Promise<VerifyReport> {
  const options = { noParseWal: true, jobs: 2, checksums: 'stored', store: { env: store.env } } as const
  return await verifyStoredBackup(address, options)
}

/** Which of the files were asked for, and how. */
function seen(): string[] {
  const requests = store.proxy.requests.filter(({ url }) =>
    files.some(({ path }) => url.endsWith(`/${path}`)),
  )
  return requests.map(({ method, url }) => `${method} ${url.slice(url.indexOf('plain/') + 6)}`).toSorted()
}

/** Its path at the proxy. */
function pathOf(path: string): string {
  return `/${BUCKET}/plain/${path}`
}

test('checksums that the store keeps are compared, and nothing else of the files is read', async () => {
  const report = await verify()
  expect(report).toMatchObject({
    verdict: 'sampled',
    checksumsFrom: 'store',
    filesChecked: 3,
    bytesChecked: 1_000_003,
    options: { checksums: 'stored' },
    sample: { rested: { files: 0 }, left: { files: 0 }, stored: { files: 2, bytes: 1_000_003 } },
    problems: [],
  })
  expect(report.notChecked).toContainEqual({
    what: 'stored-bytes',
    why: '2 files of 1000003 bytes were not read: their checksums are those that the store took when they were written, and that it has kept the bytes since is its promise',
  })
  // An empty one has no bytes to ask for. That PG_VERSION is read, too, is for its version.
  expect(seen()).toEqual([`GET ${versionFile.path}`, `HEAD ${versionFile.path}`, `HEAD ${large.path}`])
  const [first] = report.sample?.stored?.oldest?.split('T') ?? []
  expect(first).toMatch(/^\d{4}-\d{2}-\d{2}$/)
})

test('the report says in words what that is worth', async () => {
  const { status, stdout, stderr } = await pbmanifest(
    ['verify', '-n', '-v', '--checksums=stored', address],
    store.env,
  )
  expect([status, stdout]).toEqual([
    0,
    expect.stringMatching(
      /^no problem was found, but not all files were read: 2 have the checksum that the store took when they were written, the first at \d{4}-.*Z\n3 files, 976\.6 kB checked in .* s; checked by the store: 2 files, 976\.6 kB; not checked: .*the bytes in the store/,
    ),
  ])
  expect(stdout).not.toContain('successfully verified')
  expect(stderr).toContain('not checked: stored-bytes: 2 files of 1000003 bytes were not read')
  const json = await runCommandLine(
    ['verify', '-n', '--checksums=stored', '--output=json', address],
    store.env,
  )
  expect(JSON.parse(json.stdout)).toMatchObject({ verdict: 'sampled', sample: { stored: { files: 2 } } })
})

test.each([
  ['keeps none', undefined],
  [
    'keeps one by another algorithm',
    { 'x-amz-checksum-sha256': createHash('sha256').update('').digest('base64') },
  ],
  [
    'keeps one of the checksums of parts',
    { 'x-amz-checksum-crc32c': '0GwlFg==', 'x-amz-checksum-type': 'COMPOSITE' },
  ],
  ['keeps another one', { 'x-amz-checksum-crc32c': 'AAAAAA==', 'x-amz-checksum-type': 'FULL_OBJECT' }],
])('a file is read of which the store %s', async (_what, headers) => {
  store.proxy.checksums.delete(pathOf(large.path))
  if (headers !== undefined) store.proxy.checksums.set(pathOf(large.path), headers)
  expect(await verify()).toMatchObject({
    verdict: 'sampled',
    sample: { stored: { files: 1, bytes: 3 } },
    problems: [],
  })
  expect(seen()).toContain(`GET ${large.path}`)
})

test('a backup of which the store keeps no checksums is read, and then verified', async () => {
  store.proxy.checksums.clear()
  expect(await verify()).toMatchObject({
    verdict: 'verified',
    filesChecked: 3,
    sample: { stored: { files: 0, bytes: 0, oldest: null } },
  })
})

test('nobody asks for a checksum of which the listing says that it is another one', async () => {
  store.proxy.at = ({ url }) =>
    url.includes('list-type')
      ? {
          type: 'body',
          change: (body) =>
            body.replaceAll(
              '<Size>',
              '<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>',
            ),
        }
      : undefined
  expect(await verify()).toMatchObject({ verdict: 'verified' })
  expect(seen().filter((request) => request.startsWith('HEAD'))).toEqual([])
})

test('what is wrong with a file is told as when all are read', async () => {
  const other = Buffer.alloc(large.size, 2)
  await store.putWithChecksum(`plain/${large.path}`, other, { ChecksumCRC32C: 'AAAAAA==' })
  store.proxy.at = ({ url }) =>
    url.endsWith(versionFile.path) ? errorAnswer(403, 'InvalidObjectState') : undefined
  const { verdict, problems } = await verify()
  expect([verdict, problems.map(({ kind, path }) => [kind, path])]).toEqual([
    'failed',
    [
      ['checksum-mismatch', large.path],
      ['unreadable', versionFile.path],
    ],
  ])
})

test('a file of another size is a problem, whatever checksum there is', async () => {
  await store.putWithChecksum(`plain/${large.path}`, 'x', asStored(large.checksum))
  const { verdict, problems } = await verify()
  expect([verdict, problems.map(({ kind, path }) => [kind, path])]).toEqual([
    'failed',
    [['size-mismatch', large.path]],
  ])
})

test('a request for a checksum that fails is sent again', async () => {
  const times = new Map<string, number>()
  store.proxy.at = ({ url, method }) => {
    const count = (times.get(url) ?? 0) + 1
    times.set(url, count)
    if (method !== 'HEAD' || count > 3) return undefined
    return count === 1 ? { type: 'cut' } : errorAnswer(count === 2 ? 503 : 500, 'SlowDown')
  }
  expect(await verify()).toMatchObject({ verdict: 'sampled', sample: { stored: { files: 2 } } })
})

test.each([
  [['--checksums=stored', 'x'], '--checksums is for use with s3://'],
  [['--checksums=stored', '-s', address], 'cannot specify both --checksums=stored and -s/--skip-checksums'],
  [
    ['--checksums=stored', '--page-checksums', address],
    'cannot specify both --checksums=stored and --page-checksums=on',
  ],
  [
    ['--checksums=stored', '--shard', '1/2', '--report-fragment', 'x', address],
    'cannot specify both --shard and --checksums',
  ],
  [['--checksums=all', address], 'checksums'],
  [['--checksums=stored', '-F', 't', address], 'cannot compare stored checksums of a backup in tar format'],
])('%j is refused', async (args, words) => {
  const { status, stdout, stderr } = await runCommandLine(['verify', ...args], store.env)
  expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining(words)])
})
