import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { encodePathname } from '../../src/files/pathname.js'
import { readDirectory, readNames } from '../../src/files/read-directory.js'
import { oddPathnames, writeOddFiles } from '../helpers/odd-files.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

test('an empty directory has no entries', () => {
  expect(readDirectory(scratch.path)).toEqual([])
})

test('entries come in the order of their names, each with its own kind', async () => {
  await mkdir(join(scratch.path, 'directory'))
  await writeFile(join(scratch.path, '.hidden'), '')
  await symlink('nowhere', join(scratch.path, 'broken'))
  await symlink('directory', join(scratch.path, 'link'))
  await mustRun('mkfifo', [join(scratch.path, 'fifo')])
  expect(readDirectory(scratch.path)).toEqual([
    { name: '.hidden', kind: 'file' },
    { name: 'broken', kind: 'symlink' },
    { name: 'directory', kind: 'directory' },
    { name: 'fifo', kind: 'other' },
    { name: 'link', kind: 'symlink' },
  ])
})

test('names that are not text, or hold a replacement character, are their bytes', async () => {
  await writeOddFiles(scratch.path)
  await writeFile(join(scratch.path, 'replacement \ufffd'), '')
  const names = readDirectory(scratch.path).map(({ name }) => encodePathname(name).toString('hex'))
  expect(readNames(scratch.path)).toEqual(readDirectory(scratch.path).map(({ name }) => name))
  const tops = oddPathnames.map((name) => name.toString('latin1').split('/')[0] ?? '')
  const expected = [...tops.map((top) => Buffer.from(top, 'latin1')), Buffer.from('replacement \ufffd')]
  expect(names.toSorted()).toEqual(expected.map((name) => name.toString('hex')).toSorted())
})

test('a directory with a name that is not text is read by its bytes', async () => {
  const path = Buffer.concat([Buffer.from(`${scratch.path}/`), Buffer.of(0xff)])
  await mkdir(path)
  await writeFile(Buffer.concat([path, Buffer.from('/'), Buffer.of(0xfe)]), '')
  expect(readDirectory(path)).toEqual([{ name: '\udcfe', kind: 'file' }])
})

test('what is no directory is refused', async () => {
  const path = join(scratch.path, 'file')
  await writeFile(path, '')
  expect(() => readDirectory(path)).toThrow(expect.objectContaining({ code: 'ENOTDIR' }))
})
