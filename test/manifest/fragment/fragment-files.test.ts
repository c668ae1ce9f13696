import { rmSync, symlinkSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Yielder } from '../../../src/files/yielder.js'
import type { ClusterLayout } from '../../../src/manifest/contents/select-entries.js'
import { readClusterLayout } from '../../../src/manifest/contents/walk-backup.js'
import { listBackupFiles, namedBackupFiles } from '../../../src/manifest/fragment/fragment-files.js'
import { nearestVersion } from '../../../src/postgres/versions.js'
import { useScratch } from '../use-scratch.js'
import {
  leftOutFiles,
  listedFiles,
  listedUpTo16,
  makeDataDirectory,
  specialFiles,
} from '../contents/data-directory.js'

const scratch = useScratch()
const yielder = new Yielder(undefined)

function layoutOf(directory: string, major: number): ClusterLayout {
  return {
    ...readClusterLayout(directory),
    version: nearestVersion(major),
    tablespaceDirectory: 'PG_15_202209061',
  }
}

describe('listBackupFiles', () => {
  test.each([13, 15, 16, 17, 18])('lists what a server of version %d lists', async (major) => {
    const directory = await makeDataDirectory(scratch.path)
    const { files } = await listBackupFiles(directory, layoutOf(directory, major), yielder)
    const expected = major < 17 ? [...listedFiles, ...listedUpTo16] : listedFiles
    expect(files.map((file) => file.pathname).toSorted()).toEqual(expected.toSorted())
  })

  test('tells what is neither file nor directory', async () => {
    const directory = await makeDataDirectory(scratch.path)
    const found = await listBackupFiles(directory, layoutOf(directory, 15), yielder)
    expect(found.specialFiles.toSorted()).toEqual(specialFiles)
  })

  test('takes links for the directories that a server takes them for', async () => {
    const directory = await makeDataDirectory(scratch.path)
    for (const name of ['pg_wal', 'pg_stat_tmp']) {
      rmSync(join(directory, name), { recursive: true })
      symlinkSync('/tmp', join(directory, name))
    }
    const found = await listBackupFiles(directory, layoutOf(directory, 15), yielder)
    expect(found.specialFiles.toSorted()).toEqual(specialFiles)
    expect(found.files).toHaveLength(listedFiles.length + listedUpTo16.length)
  })

  test('tells what a server leaves out, or lists that as well', async () => {
    const directory = await makeDataDirectory(scratch.path)
    const layout = layoutOf(directory, 18)
    const { files, leftOut } = await listBackupFiles(directory, layout, yielder)
    const ofCopy = [...leftOutFiles, ...listedUpTo16].filter((name) => !isNeverListed(name))
    expect(leftOut.toSorted()).toEqual(expect.arrayContaining(ofCopy.toSorted()))
    const all = await listBackupFiles(directory, layout, yielder, true)
    expect(all.leftOut).toEqual([])
    expect(all.files.map(({ pathname }) => pathname).toSorted()).toEqual(
      [...files.map(({ pathname }) => pathname), ...leftOut].toSorted(),
    )
    const named = await namedBackupFiles(directory, [...leftOut, 'PG_VERSION'], layout, yielder)
    expect(named).toMatchObject({ leftOut, files: [{ pathname: 'PG_VERSION' }] })
    expect((await namedBackupFiles(directory, leftOut, layout, yielder, true)).files).toHaveLength(
      leftOut.length,
    )
  })

  test('tells the sizes', async () => {
    const directory = await makeDataDirectory(scratch.path)
    truncateSync(join(directory, 'base/1/1259'), 3_000_000_000)
    const { files } = await listBackupFiles(directory, layoutOf(directory, 15), yielder)
    expect(files).toContainEqual({ pathname: 'base/1/1259', size: 3_000_000_000 })
  })

  test('takes every PG directory of a tablespace when the version is not known', async () => {
    const directory = await makeDataDirectory(scratch.path)
    const layout = { ...readClusterLayout(directory), tablespaceDirectory: undefined }
    const { files } = await listBackupFiles(directory, layout, yielder)
    const inSpace = files.map((file) => file.pathname).filter((name) => name.startsWith('pg_tblspc/16384/'))
    expect(inSpace.toSorted()).toEqual([
      'pg_tblspc/16384/PG_14_202107181/5/16390',
      'pg_tblspc/16384/PG_15_202209061/5/16390',
      'pg_tblspc/16384/PG_15_202209061/5/16391_init',
    ])
  })

  test('fails when a tablespace is gone', async () => {
    const directory = await makeDataDirectory(scratch.path)
    rmSync(join(scratch.path, 'tablespace'), { recursive: true })
    await expect(listBackupFiles(directory, layoutOf(directory, 15), yielder)).rejects.toMatchObject({
      code: 'IO',
      message: `could not open directory "${directory}/pg_tblspc/16384": No such file or directory`,
    })
  })
})

describe('namedBackupFiles', () => {
  test('takes what a server lists and leaves out what it leaves out', async () => {
    const directory = await makeDataDirectory(scratch.path)
    const names = [...leftOutFiles, ...listedUpTo16, ...listedFiles]
    const { files } = await namedBackupFiles(directory, names, layoutOf(directory, 18), yielder)
    expect(files.map((file) => file.pathname)).toEqual(listedFiles)
    expect(files[0]).toEqual({ pathname: 'PG_VERSION', size: 12 })
  })

  test('takes a file that is named twice once', async () => {
    const directory = await makeDataDirectory(scratch.path)
    const names = ['PG_VERSION', 'base/1/1259', 'PG_VERSION']
    const { files } = await namedBackupFiles(directory, names, layoutOf(directory, 15), yielder)
    expect(files.map((file) => file.pathname)).toEqual(['PG_VERSION', 'base/1/1259'])
  })

  test('names every file that cannot be recorded', async () => {
    const directory = await makeDataDirectory(scratch.path)
    const names = [
      'PG_VERSION',
      'base/1/9999',
      'base/1',
      'base/1/fifo',
      'linked file',
      'broken link',
      '../x',
      'base/../../x',
      '/etc/passwd',
      'base//1/1259',
      './PG_VERSION',
      '',
      'PG_VERSION/x',
      'not there \udcff',
    ]
    await expect(namedBackupFiles(directory, names, layoutOf(directory, 15), yielder)).rejects.toMatchObject({
      code: 'IO',
      message: 'could not record 13 of the named files',
      details: [
        '"base/1/9999": No such file or directory',
        '"base/1": it is not a regular file',
        '"base/1/fifo": it is not a regular file',
        '"linked file": it is not a regular file',
        '"broken link": it is not a regular file',
        '"../x": path name leaves the data directory',
        '"base/../../x": path name leaves the data directory',
        '"/etc/passwd": absolute path name',
        '"base//1/1259": path name is not in its shortest form',
        '"./PG_VERSION": path name is not in its shortest form',
        '"": empty path name',
        '"PG_VERSION/x": Not a directory',
        String.raw`"not there \xff": No such file or directory`,
      ],
    })
  })
})

/** What no manifest of a copy has either. */
function isNeverListed(pathname: string): boolean {
  return /^(?:pg_wal\/|backup_manifest)/.test(pathname)
}
