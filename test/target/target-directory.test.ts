import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { encodePathname } from '../../src/files/pathname.js'
import { TargetDirectory, type TargetOptions } from '../../src/target/target-directory.js'
import type { Tablespace } from '../../src/transfer/cluster-files/cluster-files.js'
import { validatorOf } from '../../src/schemas/validator.js'
import { mountSmallDisk } from '../helpers/small-disk.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

let scratch: ScratchDirectory
let root: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  root = join(scratch.path, 'root')
  await mkdir(root)
})

afterEach(() => scratch.remove())

/** Two tablespaces, one of them in place, and the data directory. */
function tablespaces(): readonly Tablespace[] {
  return [
    { oid: 16384, location: join(root, 'server/one'), bytes: undefined },
    { oid: 16385, location: join(root, 'server/two'), bytes: undefined },
    { oid: 16386, location: 'pg_tblspc/16386', bytes: undefined },
    { oid: undefined, location: '', bytes: undefined },
  ]
}

function prepare(more: Partial<TargetOptions> = {}): Promise<TargetDirectory> {
  return TargetDirectory.prepare({
    directory: join(root, 'target'),
    tablespaces: tablespaces(),
    mappings: [
      { from: join(root, 'server/one'), to: join(root, 'new/one') },
      { from: join(root, 'server/two'), to: join(root, 'new/two') },
      { from: '/no/such/tablespace', to: '/elsewhere' },
    ],
    walDirectory: undefined,
    hasGroupAccess: false,
    ...more,
  })
}

/** Everything below the root: names, kinds, modes, and where links lead. */
async function tree(directory = root): Promise<readonly string[]> {
  const lines: string[] = []
  for (const name of (await readdir(directory)).toSorted()) {
    const path = join(directory, name)
    const stats = await lstat(path).catch(() => undefined)
    if (stats === undefined) {
      lines.push(`${path} a name that is no UTF-8`)
      continue
    }
    const mode = (stats.mode & 0o777).toString(8)
    if (stats.isSymbolicLink()) lines.push(`${path} -> ${await readlink(path)}`)
    else lines.push(`${path} ${stats.isDirectory() ? 'directory' : 'file'} ${mode}`)
    if (stats.isDirectory()) lines.push(...(await tree(path)))
  }
  return lines.map((line) => line.replaceAll(root, ''))
}

/** What a backup leaves in the middle: directories, names that are no UTF-8, files that forbid, links. */
async function halfABackup(target: TargetDirectory): Promise<void> {
  await mkdir(join(target.path, 'base/5'), { recursive: true })
  await writeFile(join(target.path, 'base/5/1259'), 'x')
  await writeFile(Buffer.concat([Buffer.from(`${target.path}/base/`), Buffer.of(0xff, 0xfe)]), 'x')
  await symlink('/etc', join(target.path, 'base/etc'))
  await symlink('nowhere', join(target.path, 'broken'))
  for (const { location } of target.tablespaces)
    await mkdir(join(location, 'PG_15_202209061/5'), { recursive: true })
}

describe.each([
  { hasGroupAccess: false, mode: '700' },
  { hasGroupAccess: true, mode: '750' },
])('group access $hasGroupAccess', ({ hasGroupAccess, mode }) => {
  test(`directories of mode ${mode} are made, and links to the tablespaces`, async () => {
    const target = await prepare({ hasGroupAccess, directory: join(root, 'a/b/target') })
    expect(target.path).toBe(join(root, 'a/b/target'))
    expect(target.tablespaces).toEqual([
      { oid: 16384, link: 'pg_tblspc/16384', location: join(root, 'new/one') },
      { oid: 16385, link: 'pg_tblspc/16385', location: join(root, 'new/two') },
    ])
    await target.complete({ sync: 'fsync' })
    expect(await tree()).toEqual([
      `/a directory ${mode}`,
      `/a/b directory ${mode}`,
      `/a/b/target directory ${mode}`,
      `/a/b/target/pg_tblspc directory ${mode}`,
      '/a/b/target/pg_tblspc/16384 -> /new/one',
      '/a/b/target/pg_tblspc/16385 -> /new/two',
      `/new directory ${mode}`,
      `/new/one directory ${mode}`,
      `/new/two directory ${mode}`,
    ])
  })
})

test('the directory for WAL is made, and linked to, and its file system is synced', async () => {
  const walDirectory = join(root, 'fast/wal')
  const target = await prepare({ walDirectory, tablespaces: [] })
  await target.mark('0'.repeat(32))
  expect(await readdir(walDirectory)).toEqual(['pbmanifest.unfinished'])
  await target.complete({ sync: 'syncfs' })
  expect(await tree()).toEqual([
    '/fast directory 700',
    '/fast/wal directory 700',
    '/target directory 700',
    '/target/pg_wal -> /fast/wal',
  ])
  expect(await target.remove()).toEqual([])
  expect(await tree()).toEqual([])
})

test.each([
  { what: 'in the target', walDirectory: 'target/wal', message: /is inside ".*target"$/ },
  { what: 'the directory of a tablespace', walDirectory: 'new/one', message: /new\/one" is used twice$/ },
])('WAL is not to go where other files go: $what', async ({ walDirectory, message }) => {
  await expect(prepare({ walDirectory: join(root, walDirectory) })).rejects.toThrow(message)
  expect(await tree()).toEqual([])
})

describe('after a failure everything is as it was', () => {
  test.each([
    { what: 'nothing was there', before: async () => {} },
    {
      what: 'empty directories were there',
      before: async () => {
        for (const path of ['target', 'new', 'new/one', 'new/two'])
          await mkdir(join(root, path), { mode: 0o750 })
      },
    },
    { what: 'a parent was there', before: () => mkdir(join(root, 'new')) },
    {
      what: 'the target was a link to an empty directory',
      before: async () => {
        await mkdir(join(root, 'disk'))
        await symlink(join(root, 'disk'), join(root, 'target'))
      },
    },
  ])('$what', async ({ before }) => {
    await before()
    const original = await tree()
    const target = await prepare()
    await halfABackup(target)
    expect(await tree()).not.toEqual(original)
    expect(await target.remove()).toEqual([])
    expect(await tree()).toEqual(original)
    // Twice does no harm: an abort may come after an abort.
    await target.remove()
    expect(await tree()).toEqual(original)
    expect((await stat('/etc/passwd')).isFile()).toBe(true)
  })

  test('also when it was completed already, before the manifest', async () => {
    const target = await prepare()
    await halfABackup(target)
    await target.complete({ sync: undefined })
    expect(await target.remove()).toEqual([])
    expect(await tree()).toEqual([])
  })

  test('what a link leads to is not touched', async () => {
    await mkdir(join(root, 'precious'))
    await writeFile(join(root, 'precious/file'), 'x')
    const target = await prepare()
    await symlink(join(root, 'precious'), join(target.path, 'pg_wal'))
    await target.remove()
    expect(await tree()).toEqual(['/precious directory 755', '/precious/file file 644'])
  })

  test('a directory that took the target’s place is not touched', async () => {
    const target = await prepare({ tablespaces: [] })
    await rename(target.path, join(root, 'moved'))
    await mkdir(target.path)
    await writeFile(join(target.path, 'precious'), 'x')
    expect(await target.remove()).toEqual([
      `"${target.path}" is not the directory that it was, and is left alone`,
    ])
    expect(await readFile(join(target.path, 'precious'), 'utf8')).toBe('x')
  })

  test('somebody else’s file in a parent that was made keeps the parent', async () => {
    const target = await prepare({ directory: join(root, 'a/target'), tablespaces: [] })
    await writeFile(join(root, 'a/other'), 'x')
    expect(await target.remove()).toEqual([])
    expect(await tree()).toEqual(['/a directory 700', '/a/other file 644'])
  })
})

describe('what is refused leaves nothing behind', () => {
  const notEmpty = 'exists but is not empty'

  test.each<{
    what: string
    before?: () => Promise<unknown>
    more?: () => Partial<TargetOptions>
    message: string
  }>([
    {
      what: 'a target that is not empty',
      before: () => mkdir(join(root, 'target/x'), { recursive: true }),
      message: `directory "ROOT/target" ${notEmpty}`,
    },
    {
      what: 'a target with a hidden file',
      before: async () => {
        await mkdir(join(root, 'target'))
        await writeFile(join(root, 'target/.hidden'), '')
      },
      message: `directory "ROOT/target" ${notEmpty}`,
    },
    {
      what: 'a tablespace that is not empty',
      before: () => mkdir(join(root, 'new/two/x'), { recursive: true }),
      message: `directory "ROOT/new/two" ${notEmpty}`,
    },
    {
      what: 'a tablespace that is not mapped, on the server’s own machine',
      before: () => mkdir(join(root, 'server/one/PG_15_202209061'), { recursive: true }),
      more: () => ({ mappings: [] }),
      message: `directory "ROOT/server/one" ${notEmpty}`,
    },
    {
      what: 'two tablespaces in one place',
      more: () => ({
        mappings: ['one', 'two'].map((name) => ({ from: join(root, 'server', name), to: join(root, 'new') })),
      }),
      message: 'target directory "ROOT/new" is used twice',
    },
    {
      what: 'a tablespace inside the target',
      more: () => ({ mappings: [{ from: join(root, 'server/one'), to: join(root, 'target/one') }] }),
      message: 'target directory "ROOT/target/one" is inside "ROOT/target"',
    },
    {
      what: 'two tablespaces in one place by a link',
      before: async () => {
        await mkdir(join(root, 'new/one'), { recursive: true })
        await symlink('one', join(root, 'new/two'))
      },
      message: 'target directory "ROOT/new/one" is used twice',
    },
    ...[0, -5, 2 ** 32, 1.5].map((oid) => ({
      what: `a tablespace with OID ${oid}`,
      more: () => ({ tablespaces: [{ oid, location: '/x', bytes: undefined }] }),
      message: `there is no tablespace with OID ${oid}`,
    })),
    ...['', 'x', '../x', 'pg_tblspc/16385', 'pg_tblspc/16384/../../x', '/a\0b'].map((location) => ({
      what: `a tablespace in ${JSON.stringify(location)}`,
      more: () => ({ tablespaces: [{ oid: 16384, location, bytes: undefined }] }),
      message: `tablespace 16384 is said to be in "${location.replace('\0', String.raw`\x00`)}", which is not an absolute path`,
    })),
    {
      what: 'a file',
      before: () => writeFile(join(root, 'target'), ''),
      message: 'could not access directory "ROOT/target": Not a directory',
    },
    {
      what: 'a broken link',
      before: () => symlink('nowhere', join(root, 'target')),
      message: 'could not access directory "ROOT/target": it is a broken link',
    },
    {
      what: 'a target below a file',
      before: () => writeFile(join(root, 'new'), ''),
      message: 'could not access directory "ROOT/new/one": Not a directory',
    },
    {
      what: 'a name that is too long',
      more: () => ({ directory: join(root, 'a', 'x'.repeat(300)) }),
      message: `could not create directory "ROOT/a/${'x'.repeat(300)}": File name too long`,
    },
  ])('$what', async ({ before, more, message }) => {
    await before?.()
    const original = await tree()
    await expect(prepare(more?.())).rejects.toMatchObject({ message: message.replaceAll('ROOT', root) })
    expect(await tree()).toEqual(original)
  })

  test.runIf(process.getuid?.() !== 0)('a parent that forbids', async () => {
    await mkdir(join(root, 'new'))
    await chmod(join(root, 'new'), 0o500)
    await expect(prepare()).rejects.toMatchObject({
      code: 'IO',
      message: `could not create directory "${root}/new/one": Permission denied`,
    })
    expect(await tree()).toEqual(['/new directory 500'])
  })

  test.runIf(process.getuid?.() === 0)('a file system that is read only', async () => {
    const unmount = mountSmallDisk(join(root, 'new'), 'ro,size=64k')
    expect(unmount).toBeDefined()
    try {
      await expect(prepare()).rejects.toMatchObject({
        code: 'IO',
        message: `could not create directory "${root}/new/one": Read-only file system`,
      })
      expect(await readdir(root)).toEqual(['new'])
    } finally {
      unmount?.()
    }
  })
})

describe('what a killed run leaves', () => {
  test('is recognised by the next one', async () => {
    const target = await prepare()
    const mark = async (): Promise<unknown> =>
      JSON.parse(await readFile(join(root, 'target/pbmanifest.unfinished'), 'utf8'))
    const marks = [await mark()]
    await target.mark('0123456789abcdef0123456789abcdef')
    marks.push(await mark())
    expect(marks.map(validatorOf('unfinished-backup'))).toEqual([undefined, undefined])
    await halfABackup(target)
    const original = await tree()
    await expect(prepare()).rejects.toMatchObject({
      code: 'IO',
      message: `directory "${root}/target" holds an unfinished backup of pbmanifest (id 0123456789abcdef0123456789abcdef)`,
      details: [
        expect.stringMatching(/^It was written by process \d+ on .+\.$/),
        `It has files in "${root}/target".`,
        `It has files in "${root}/new/one".`,
        `It has files in "${root}/new/two".`,
      ],
      hint: 'If that process is gone, remove what is in these directories and start again.',
    })
    expect(await tree()).toEqual(original)
    await expect(prepare({ directory: join(root, 'other') })).rejects.toThrow(
      `directory "${root}/new/one" holds an unfinished backup`,
    )
  })

  test.each(['', '{', 'null', '[]', '{"Directories": [1]}'])('also with a mark %j', async (text) => {
    await mkdir(join(root, 'target'))
    await writeFile(join(root, 'target/pbmanifest.unfinished'), text)
    await expect(prepare()).rejects.toThrow(
      `directory "${root}/target" holds an unfinished backup of pbmanifest that had not begun`,
    )
  })
})

/** Its last byte is 0xE4. */
function oddLocation(): string {
  return join(root, 'server/l\udce4')
}

function odd(): Partial<TargetOptions> {
  return { mappings: [], tablespaces: [{ oid: 16384, location: oddLocation() }] }
}

describe('a tablespace whose location is not UTF-8', () => {
  test('gets a directory of these bytes, and its link leads there', async () => {
    const target = await prepare(odd())
    expect(await readdir(join(root, 'server'), 'buffer')).toEqual([Buffer.of(0x6c, 0xe4)])
    const link = await readlink(join(root, 'target/pg_tblspc/16384'), 'buffer')
    expect(link).toEqual(Buffer.concat([Buffer.from(join(root, 'server/l')), Buffer.of(0xe4)]))
    await expect(prepare({ ...odd(), directory: join(root, 'other') })).rejects.toMatchObject({
      message: expect.stringContaining(
        String.raw`directory "${root}/server/l\xe4" holds an unfinished backup`,
      ),
      details: expect.arrayContaining([String.raw`It has files in "${root}/server/l\xe4".`]),
    })
    await target.complete({ sync: 'fsync' })
    expect(await readdir(encodePathname(oddLocation()))).toEqual([])
  })

  test('is taken back, whatever its files are called', async () => {
    const target = await prepare(odd())
    await writeFile(encodePathname(`${oddLocation()}/\udcff`), '')
    expect(await target.remove()).toEqual([])
    expect(await tree()).toEqual([])
  })
})

test('a link to a data directory whose name is not UTF-8 is refused', async () => {
  const real = encodePathname(join(root, 'd\udce4'))
  await mkdir(real)
  await symlink(real, join(root, 'target'))
  await expect(prepare()).rejects.toMatchObject({
    code: 'IO',
    message: String.raw`the name of target directory "${root}/d\xe4" is not UTF-8`,
  })
})
