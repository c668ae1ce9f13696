import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { listResult, useOfEntry } from '../../src/combine/list-result.js'
import { Yielder } from '../../src/files/yielder.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

test.each([
  ['', 'PG_VERSION', 'file', 'file'],
  ['', 'backup_label', 'file', 'left out'],
  ['', 'backup_manifest', 'file', 'left out'],
  ['global', 'backup_label', 'file', 'file'],
  ['', 'pg_wal', 'symlink', 'directory'],
  ['', 'log', 'symlink', 'skipped'],
  ['', 'fifo', 'other', 'skipped'],
  ['pg_tblspc', '16384', 'symlink', 'tablespace'],
  ['pg_tblspc', '16384', 'directory', 'tablespace'],
  ['pg_tblspc', '16384', 'file', 'file'],
  ['pg_tblspc', 'notes', 'directory', 'directory'],
  ['pg_tblspc', 'notes', 'symlink', 'skipped'],
  ['base', '16384', 'directory', 'directory'],
] as const)('in "%s", "%s" as a %s is: %s', (parent, name, kind, expected) => {
  expect(useOfEntry(parent, name, kind)).toBe(expected)
})

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

test('tablespaces come last, by their links or in their place', async () => {
  const root = join(scratch.path, 'data')
  const elsewhere = join(scratch.path, 'elsewhere')
  for (const directory of ['base/1', 'pg_tblspc/17000/PG_18', 'pg_wal/summaries']) {
    await mkdir(join(root, directory), { recursive: true })
  }
  await mkdir(join(elsewhere, 'PG_18'), { recursive: true })
  await symlink(elsewhere, join(root, 'pg_tblspc/16384'))
  await symlink('/dev/null', join(root, 'log'))
  for (const file of [
    'PG_VERSION',
    'backup_label',
    'base/1/INCREMENTAL.1',
    'pg_tblspc/17000/PG_18/2',
    'INCREMENTAL.conf',
  ]) {
    await writeFile(join(root, file), '')
  }
  await writeFile(join(elsewhere, 'PG_18/3'), '')

  const { directories, files, tablespaces, warnings } = await listResult(root, new Yielder(undefined))
  expect(files.slice(0, 3).toSorted()).toEqual(['INCREMENTAL.conf', 'PG_VERSION', 'base/1/INCREMENTAL.1'])
  expect(files.slice(3).toSorted()).toEqual(['pg_tblspc/16384/PG_18/3', 'pg_tblspc/17000/PG_18/2'])
  expect(tablespaces.toSorted((one, other) => one.oid - other.oid)).toEqual([
    { oid: 16384, location: elsewhere },
    { oid: 17000, location: undefined },
  ])
  // The link itself is made with the target's directories.
  expect(directories.toSorted()).toEqual([
    'base',
    'base/1',
    'pg_tblspc',
    'pg_tblspc/16384/PG_18',
    'pg_tblspc/17000',
    'pg_tblspc/17000/PG_18',
    'pg_wal',
    'pg_wal/summaries',
  ])
  expect(warnings).toEqual([`skipping symbolic link "${root}/log"`])
})

test('a tablespace whose link is relative is refused', async () => {
  await mkdir(join(scratch.path, 'pg_tblspc'))
  await symlink('../elsewhere', join(scratch.path, 'pg_tblspc/16384'))
  await expect(listResult(scratch.path, new Yielder(undefined))).rejects.toThrow(
    `target of symbolic link "${scratch.path}/pg_tblspc/16384" is relative`,
  )
})
