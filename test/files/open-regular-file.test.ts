import { closeSync, readSync } from 'node:fs'
import { mkdir, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { NotARegularFileError, openRegularFile } from '../../src/files/open-regular-file.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

let scratch: ScratchDirectory
let path: string

beforeEach(() => {
  scratch = createScratchDirectory()
  path = join(scratch.path, 'file')
})

afterEach(() => scratch.remove())

test('a file is opened with what is known of it, and its access time stays', async () => {
  await writeFile(path, 'text')
  await utimes(path, 1_000_000_000, 1_500_000_000)
  const { descriptor, stats } = openRegularFile(path)
  const buffer = Buffer.alloc(10)
  expect(readSync(descriptor, buffer)).toBe(4)
  closeSync(descriptor)
  expect(stats.size).toBe(4)
  expect((await stat(path)).atimeMs).toBe(1_000_000_000_000)
})

test('a link is followed', async () => {
  await writeFile(join(scratch.path, 'target'), 'text')
  await symlink('target', path)
  const { descriptor, stats } = openRegularFile(Buffer.from(path))
  closeSync(descriptor)
  expect(stats.size).toBe(4)
})

test.each([
  { what: 'a FIFO that nobody writes to', make: () => mustRun('mkfifo', [path]) },
  { what: 'a directory', make: () => mkdir(path) },
  { what: 'a device', make: () => symlink('/dev/zero', path) },
])('$what is refused at once', async ({ make }) => {
  await make()
  expect(() => openRegularFile(path)).toThrow(NotARegularFileError)
})

test.each([
  { what: 'nothing', make: async () => {}, code: 'ENOENT' },
  { what: 'a broken link', make: () => symlink('nowhere', path), code: 'ENOENT' },
  { what: 'a link to itself', make: () => symlink('file', path), code: 'ELOOP' },
])('$what is the error of the system', async ({ make, code }) => {
  await make()
  expect(() => openRegularFile(path)).toThrow(expect.objectContaining({ code }))
})
