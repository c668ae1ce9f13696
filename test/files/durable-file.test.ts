import { mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DurableFile } from '../../src/files/durable-file.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

let scratch: ScratchDirectory
let path: string

beforeEach(() => {
  scratch = createScratchDirectory()
  path = join(scratch.path, 'file')
})

afterEach(() => scratch.remove())

test('a file appears whole when it is committed, for its owner only, and leaves nothing beside it', async () => {
  const file = await DurableFile.create(path)
  await file.write(Buffer.from('one '))
  await file.write(Buffer.from('two'))
  expect(await readdir(scratch.path)).not.toContain('file')
  await file.commit()
  expect(await readFile(path, 'utf8')).toBe('one two')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readdir(scratch.path)).toEqual(['file'])
})

test('a file may have the longest name there is', async () => {
  const file = await DurableFile.create(join(scratch.path, 'x'.repeat(255)))
  await file.commit()
  expect(await readdir(scratch.path)).toEqual(['x'.repeat(255)])
})

test('a file that is there stays as it is until the commit', async () => {
  await writeFile(path, 'old')
  const file = await DurableFile.create(path)
  await file.write(Buffer.from('new'))
  expect(await readFile(path, 'utf8')).toBe('old')
  await file.commit()
  expect(await readFile(path, 'utf8')).toBe('new')
})

test('a file that is discarded leaves nothing, and what was there as it was', async () => {
  await writeFile(path, 'old')
  const file = await DurableFile.create(path)
  await file.write(Buffer.from('new'))
  await file.discard()
  await file.discard()
  expect(await readFile(path, 'utf8')).toBe('old')
  expect(await readdir(scratch.path)).toEqual(['file'])
})

test('a link stays a link, and its target is replaced', async () => {
  const target = join(scratch.path, 'target')
  await writeFile(target, 'old')
  await symlink('target', path)
  const file = await DurableFile.create(path)
  await file.write(Buffer.from('new'))
  await file.commit()
  expect(await readlink(path)).toBe('target')
  expect(await readFile(target, 'utf8')).toBe('new')
  expect((await readdir(scratch.path)).toSorted()).toEqual(['file', 'target'])
})

test.each([
  { what: 'a FIFO', make: () => mustRun('mkfifo', [path]) },
  { what: 'a directory', make: () => mkdir(path) },
  { what: 'a link to a device', make: () => symlink('/dev/null', path) },
])('$what is not replaced', async ({ make }) => {
  await make()
  await expect(DurableFile.create(path)).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/^could not write file ".*": it exists and is not a regular file$/),
  })
  expect(await readdir(scratch.path)).toEqual(['file'])
})

test('a link to itself is refused', async () => {
  await symlink('file', path)
  await expect(DurableFile.create(path)).rejects.toMatchObject({
    code: 'IO',
    message: `could not write file "${path}": Too many levels of symbolic links`,
  })
})

test('a directory that is not there is refused', async () => {
  await expect(DurableFile.create(join(path, 'file'))).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringContaining('No such file or directory'),
  })
})

test('a commit that fails leaves the temporary file to be discarded', async () => {
  const file = await DurableFile.create(path)
  await mkdir(join(path, 'in the way'), { recursive: true })
  await expect(file.commit()).rejects.toMatchObject({ code: 'IO' })
  await file.discard()
  expect(await readdir(scratch.path)).toEqual(['file'])
})
