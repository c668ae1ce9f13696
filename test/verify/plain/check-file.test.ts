import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createFileHasher } from '../../../src/manifest/checksum/create-file-hasher.js'
import type { FileHasher } from '../../../src/manifest/checksum/file-hasher.js'
import { checkFile, type FileOutcome, ReadBuffer } from '../../../src/verify/plain/check-file.js'
import { mustRun } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'

let scratch: ScratchDirectory
let path: string

beforeEach(() => {
  scratch = createScratchDirectory()
  path = join(scratch.path, 'file')
})

afterEach(() => scratch.remove())

/** Of "123456789". */
const crc32c = '839206e3'

async function check(
  file: { readonly path?: string | Buffer; readonly size?: number; readonly checksum?: string } = {},
): Promise<FileOutcome & { readonly read: readonly number[] }> {
  const read: number[] = []
  const hasher = await createFileHasher('CRC32C')
  const { checksum = crc32c, ...place } = file
  const findOtherChecksum = (hasher: FileHasher): string | undefined =>
    hasher.findOther(Buffer.from(checksum, 'hex'), 0)
  const expected = { path, size: 9, ...place, findOtherChecksum }
  const onBytes = (bytes: number): unknown => read.push(bytes)
  const outcome = checkFile(
    expected,
    new ReadBuffer(Buffer.alloc(4)),
    { hasher, onContent: undefined, onBytes },
    false,
  )
  return { ...outcome, read }
}

test('a file with its checksum matches, and every piece of it is told', async () => {
  await writeFile(path, '123456789')
  expect(await check()).toEqual({ type: 'match', read: [4, 4, 1] })
})

test('an empty file matches', async () => {
  await writeFile(path, '')
  expect(await check({ size: 0, checksum: '00000000' })).toEqual({ type: 'match', read: [] })
})

test('a path of bytes is a path', async () => {
  const bytes = Buffer.concat([Buffer.from(`${scratch.path}/`), Buffer.of(0xff)])
  await writeFile(bytes, '123456789')
  expect(await check({ path: bytes })).toMatchObject({ type: 'match' })
})

test('other content is a mismatch', async () => {
  await writeFile(path, '123456780')
  expect(await check()).toMatchObject({ type: 'mismatch', checksum: '4f49b49b' })
})

test.each([
  ['', 0],
  ['12345678', 8],
  ['1234567890', 10],
  ['x'.repeat(1000), 1000],
])('%j has the wrong size', async (content, bytes) => {
  await writeFile(path, content)
  expect(await check()).toMatchObject({ type: 'wrong size', bytes })
})

test('a file that is far too long is not read to its end', async () => {
  await writeFile(path, 'x'.repeat(1000))
  expect((await check()).read).toEqual([4, 4, 2])
})

test.each([
  { what: 'a FIFO', make: () => mustRun('mkfifo', [path]) },
  { what: 'a directory', make: () => mkdir(path) },
  { what: 'an endless device', make: () => symlink('/dev/zero', path) },
])('$what is not a file', async ({ make }) => {
  await make()
  expect(await check()).toMatchObject({ type: 'not a file' })
})

test('what cannot be opened is said to be so, in the words of the system', async () => {
  expect(await check()).toEqual({
    type: 'failed',
    call: 'open',
    code: 'ENOENT',
    message: 'No such file or directory',
    read: [],
  })
})

test('what can be opened but not read is said to be so', async () => {
  // Its first page is not mapped, so the system refuses to read it.
  expect(await check({ path: '/proc/self/mem' })).toMatchObject({
    type: 'failed',
    call: 'read',
    message: 'Input/output error',
  })
})
