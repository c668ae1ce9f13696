import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { emptyFile, formatManifest, versionFile } from '../cli/small-backup.js'
import { pbmanifest } from '../cli/pbmanifest.js'
import type { ProgramResult } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { BUCKET, type ObjectStore, startStore } from '../helpers/stores/object-store.js'
import { errorAnswer } from '../helpers/stores/store-proxy.js'

const manifest = formatManifest([versionFile, emptyFile])
const address = `s3://${BUCKET}/plain`

let store: ObjectStore
let scratch: ScratchDirectory
let target: string

beforeAll(async () => {
  store = await startStore('fauxqs')
  await store.put('plain/PG_VERSION', '15\n')
  await store.put('plain/base/1/16384', '')
  await store.put('plain/standby.signal', '')
  await store.put('plain/other', 'x')
  await store.put('plain/backup_manifest', manifest)
})

beforeEach(() => {
  scratch = createScratchDirectory()
  target = join(scratch.path, 'data')
})

afterEach(() => {
  store.proxy.reset()
  scratch.remove()
})

afterAll(async () => store.close())

async function restore(args: readonly string[]): Promise<ProgramResult> {
  return await pbmanifest(['restore', '--no-parse-wal', '-N', '-q', '-D', target, ...args], store.env)
}

test('a backup in plain format is restored whole, also over connections that break', async () => {
  const seen = new Set<string>()
  store.proxy.at = ({ url }) => {
    if (seen.has(url)) return undefined
    seen.add(url)
    return { type: 'cut', after: 1 }
  }
  expect(await restore([address])).toEqual({ status: 0, stdout: '', stderr: '' })
  // Before what is there is compared with it, and while files are taken from it.
  for (const gone of ['PG_VERSION', 'base/1/16384']) rmSync(join(target, gone))
  seen.clear()
  const again = await pbmanifest(
    ['restore', '--no-parse-wal', '--only-missing', '-v', '-D', target, address],
    store.env,
  )
  expect(again).toMatchObject({
    status: 0,
    stderr: expect.stringContaining('asking the store again (try 2 of 10): the answer was cut off') as string,
  })
  expect(readFileSync(join(target, 'backup_manifest'), 'utf8')).toBe(manifest)
  expect(readFileSync(join(target, 'PG_VERSION'), 'utf8')).toBe('15\n')
  const isThere = ['base/1/16384', 'standby.signal', 'pg_notify', 'pg_wal/archive_status', 'other'].map(
    (path) => existsSync(join(target, path)),
  )
  expect(isThere).toEqual([true, true, true, true, false])
})

test.each([
  {
    what: 'damaged',
    fault: { type: 'flip', at: 0 } as const,
    words: '"PG_VERSION"',
  },
  {
    what: 'not to be had',
    fault: errorAnswer(403, 'InvalidObjectState'),
    words:
      'the object is in an archive tier and cannot be read\npbmanifest: detail: Have the store restore it first',
  },
  { what: 'forbidden', fault: errorAnswer(403, 'AccessDenied'), words: 'access denied' },
  {
    what: 'of a store that wants other credentials',
    fault: errorAnswer(403, 'SignatureDoesNotMatch'),
    words: `could not read "${address}": the signature is not right`,
  },
])('nothing is left when an object is $what', async ({ fault, words }) => {
  store.proxy.at = ({ url }) => (url.endsWith('/PG_VERSION') ? fault : undefined)
  const { status, stderr } = await restore([address])
  expect([status, stderr]).toEqual([5, expect.stringContaining(words)])
  expect(existsSync(target)).toBe(false)
})

test('nothing is made when there is no backup, or a store is named for a directory', async () => {
  const none = await restore([`s3://${BUCKET}/none`])
  expect([none.status, none.stderr]).toEqual([5, expect.stringContaining('There are no objects below')])
  const url = await restore(['--endpoint-url', 'https://x', scratch.path])
  expect([url.status, url.stderr]).toEqual([2, expect.stringContaining('is for use with s3://')])
  expect(existsSync(target)).toBe(false)
})
