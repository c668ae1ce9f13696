import {
  appendFileSync,
  closeSync,
  mkdirSync,
  chmodSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import type { FileEvent } from '../../../../src/transfer/cluster-files/cluster-files.js'
import { LocalClusterFiles } from '../../../../src/transfer/cluster-files/local/local-cluster-files.js'
import { listedFiles, listedUpTo16, makeDataDirectory } from '../../../manifest/contents/data-directory.js'
import { useScratch } from '../../../manifest/use-scratch.js'
import { unsized } from '../../../helpers/unsized.js'

const scratch = useScratch()
let directory: string
let files: LocalClusterFiles

// The directory has a PG_VERSION that says no version, and no pg_control: it is treated as of the newest.
beforeEach(async () => {
  directory = await makeDataDirectory(scratch.path)
  files = await LocalClusterFiles.open(directory)
})

describe('lists', () => {
  test('what a server of its version has in a backup, each tablespace by itself', async () => {
    const lists = await Promise.all([undefined, 16384, 16385, 16386].map((oid) => files.listFiles(oid)))
    const pathnames = lists.map((list) =>
      list.flatMap(({ pathname, kind }) => (kind === 'file' ? [pathname] : [])).toSorted(),
    )
    const ofAnotherBackup = new Set(['backup_label', 'tablespace_map'])
    const expected = listedFiles.filter((pathname) => !ofAnotherBackup.has(pathname))
    const outside = /^pg_tblspc\/[0-9]/
    expect(pathnames[0]).toEqual(expected.filter((pathname) => !outside.test(pathname)).toSorted())
    // Without a pg_control, every version's directory of a tablespace counts.
    expect(pathnames[1]).toEqual([
      'pg_tblspc/16384/PG_14_202107181/5/16390',
      'pg_tblspc/16384/PG_15_202209061/5/16390',
      'pg_tblspc/16384/PG_15_202209061/5/16391_init',
    ])
    expect(pathnames.slice(2)).toEqual([
      ['pg_tblspc/16385/PG_15_202209061/5/16392'],
      ['pg_tblspc/16386/PG_15_202209061/5/16393'],
    ])
    expect(listedUpTo16.filter((pathname) => pathnames[0]?.some((listed) => listed === pathname))).toEqual([])
  })

  test('directories before what is in them, the empty ones too', async () => {
    const list = await files.listFiles(undefined)
    const seen = new Set<string>([''])
    for (const { pathname, kind } of list) {
      expect(seen).toContain(pathname.split('/').slice(0, -1).join('/'))
      if (kind === 'directory') seen.add(pathname)
    }
    for (const empty of [
      'pg_wal',
      'pg_wal/archive_status',
      'pg_wal/summaries',
      'pg_notify',
      'log/pg_notify',
      'pg_replslot',
      'pg_tblspc',
      'base/1/empty directory',
      'spaces/inside',
    ]) {
      expect(seen).toContain(empty)
    }
    expect(seen).not.toContain('pg_replslot/slot')
    expect(seen).not.toContain('pgsql_tmp')
  })

  test('nothing for a client that is gone', async () => {
    const signal = AbortSignal.abort()
    await expect(files.listFiles(undefined, { signal })).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(files.listTablespaces({ withSizes: true, signal })).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })

  test('sizes, times and modes, but not by whom a program is run', async () => {
    chmodSync(join(directory, 'base/1/1259'), 0o6750)
    truncateSync(join(directory, 'base/1/1259'), 3_000_000_000)
    utimesSync(join(directory, 'base/1/1259'), 1, 1_700_000_000.9)
    expect(await files.listFiles(undefined)).toContainEqual({
      pathname: 'base/1/1259',
      kind: 'file',
      size: 3_000_000_000,
      modified: 1_700_000_000,
      mode: 0o750,
    })
  })

  test('tablespaces with their places, and sizes when asked for', async () => {
    const inPlace = { oid: 16385, location: 'pg_tblspc/16385' }
    expect(await files.listTablespaces({ withSizes: false })).toEqual([
      { oid: 16384, location: join(scratch.path, 'tablespace'), bytes: undefined },
      { ...inPlace, bytes: undefined },
      { oid: 16386, location: join(directory, 'spaces/inside'), bytes: undefined },
      { oid: undefined, location: '', bytes: undefined },
    ])
    const size = statSync(join(directory, 'pg_tblspc/16385/PG_15_202209061/5/16392')).size
    expect(await files.listTablespaces({ withSizes: true })).toContainEqual({ ...inPlace, bytes: size })
  })

  test('segments and history files of pg_wal, also when that is a link', async () => {
    const names = ['00000002.history', '00000002000000000000000A', '00000002000000000000000A.partial', 'x']
    for (const name of names) writeFileSync(join(directory, 'pg_wal', name), name)
    symlinkSync('x', join(directory, 'pg_wal/00000002000000000000000B'))
    renameSync(join(directory, 'pg_wal'), join(scratch.path, 'wal'))
    symlinkSync(join(scratch.path, 'wal'), join(directory, 'pg_wal'))
    expect(await files.listWalFiles()).toEqual([
      { name: '000000010000000000000001', size: expect.any(Number) },
      { name: '00000002.history', size: 16 },
      { name: '00000002000000000000000A', size: 24 },
    ])
    expect(await contentOf('pg_wal/00000002.history')).toBe('00000002.history')
  })
})

describe('reads', () => {
  test('files whole, and in the order in which they are asked for', async () => {
    const large = Buffer.alloc(700_001, 'large')
    writeFileSync(join(directory, 'base/1/1259'), large)
    writeFileSync(join(directory, 'base/1/empty'), '')
    const pathnames = ['base/1/1259', 'base/1/empty', 'not utf-8 \udcff\udcc0']
    const events = await readAll(pathnames)
    expect(events.flatMap((event) => (event.type === 'file' ? [event.pathname] : []))).toEqual(pathnames)
    expect(contentIn(events).equals(Buffer.concat([large, Buffer.from('the file 12\n')]))).toBe(true)
  })

  test('a file that shrinks with zeros in place of what is gone, and not what a file grows by', async () => {
    const path = join(directory, 'base/1/1259')
    for (const [change, expected] of [
      [() => truncateSync(path, 300_000), [Buffer.alloc(300_000, 'x'), Buffer.alloc(400_000)]],
      [() => appendFileSync(path, 'more'), [Buffer.alloc(700_000, 'x')]],
    ] as const) {
      writeFileSync(path, Buffer.alloc(700_000, 'x'))
      const events = await readAll(['base/1/1259'], change)
      expect(events[0]).toMatchObject({ type: 'file', size: 700_000 })
      expect(contentIn(events).equals(Buffer.concat(expected))).toBe(true)
    }
  })

  test('past a pathname of half a million directories, without looking at each as often', async () => {
    const pathname = `${'a/'.repeat(500_000)}b`
    expect(await readAll([pathname])).toEqual([{ type: 'vanished', pathname }])
  })

  test('past what has vanished', async () => {
    rmSync(join(directory, 'base/1'), { recursive: true })
    expect(await readAll(['base/1/1259', 'current_logfiles', 'base/7/8'])).toMatchObject([
      { type: 'vanished', pathname: 'base/1/1259' },
      { type: 'file', pathname: 'current_logfiles' },
      { type: 'bytes' },
      { type: 'end' },
      { type: 'vanished', pathname: 'base/7/8' },
    ])
  })

  test('a page again, unless the file ends before its end', async () => {
    writeFileSync(
      join(directory, 'base/1/1259'),
      Buffer.concat([Buffer.alloc(8192, 'a'), Buffer.alloc(8192, 'b')]),
    )
    expect((await files.rereadPage('base/1/1259', 8192))?.toString()).toBe('b'.repeat(8192))
    truncateSync(join(directory, 'base/1/1259'), 16_383)
    expect(await files.rereadPage('base/1/1259', 8192)).toBeUndefined()
    expect(await files.rereadPage('base/1/gone', 0)).toBeUndefined()
  })

  test('no further when it is aborted', async () => {
    const controller = new AbortController()
    const read = files.read(unsized('PG_VERSION', 'current_logfiles'), controller.signal)
    const events = read[Symbol.asyncIterator]()
    await events.next()
    controller.abort()
    // At the end of this file, or before it where the machine is slow.
    const rest: unknown[] = []
    const reading = (async () => {
      for (let next = await events.next(); next.done !== true; next = await events.next())
        rest.push(next.value)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' })
    expect(rest).not.toContainEqual(expect.objectContaining({ type: 'file' }))
  })

  test('no pg_control that stays damaged', async () => {
    mkdirSync(join(directory, 'global'), { recursive: true })
    writeFileSync(join(directory, 'global/pg_control'), Buffer.alloc(8192))
    await expect(readAll(['global/pg_control'])).rejects.toMatchObject({ code: 'BAD_FILE' })
  })
})

describe('refuses', () => {
  beforeEach(() => {
    writeFileSync(join(scratch.path, 'secret'), 'secret')
    symlinkSync(scratch.path, join(directory, 'base/out'))
    symlinkSync(scratch.path, join(directory, 'pg_tblspc/escape'))
    symlinkSync(scratch.path, join(directory, 'pg_xact/linked'))
    writeFileSync(join(scratch.path, 'tablespace/PG_99'), 'a file')
    closeSync(openSync(join(directory, 'pg_wal/000000010000000000000001'), 'a'))
  })

  test.each([
    ['', 'empty path name'],
    ['../secret', 'path name leaves the data directory'],
    ['base/../../secret', 'path name leaves the data directory'],
    ['base/..', 'path name leaves the data directory'],
    ['/etc/passwd', 'absolute path name'],
    ['./PG_VERSION', 'path name is not in its shortest form'],
    ['base//1/1259', 'path name is not in its shortest form'],
    ['PG_VERSION/', 'path name is not in its shortest form'],
    ['PG_VERSION\0', 'path name contains a null byte'],
    ['base/out/secret', 'there is something on its way that is not a directory'],
    ['pg_xact/linked/secret', 'there is something on its way that is not a directory'],
    ['pg_tblspc/escape/secret', 'it is not part of a base backup'],
    ['pg_tblspc/escape/PG_15/secret', 'there is something on its way that is not a directory'],
    ['pg_tblspc/16384/stray', 'it is not part of a base backup'],
    ['pg_tblspc/16384/PG_99', 'it is not part of a base backup'],
    ['postmaster.pid', 'it is not part of a base backup'],
    ['backup_label', 'it is not part of a base backup'],
    ['pg_replslot/slot/state', 'it is not part of a base backup'],
    ['base/1/t3_16500', 'it is not part of a base backup'],
    ['pbmanifest.unfinished', 'it is not part of a base backup'],
    ['pg_wal/archive_status/000000010000000000000001.done', 'it is not part of a base backup'],
    ['linked file', 'it is not a regular file'],
    ['broken link', 'it is not a regular file'],
    ['base/1/fifo', 'it is not a regular file'],
    ['base/1', 'it is not a regular file'],
    ['pg_tblspc/16384', 'it is not a regular file'],
  ])('to read %j', async (pathname, reason) => {
    // What is as it should be is read.
    expect(await contentOf('pg_xact/0000')).toMatch(/^the file/)
    const refusal = {
      code: 'USAGE',
      message: expect.stringMatching(new RegExp(`^could not send file ".*": ${reason}$`)),
    }
    await expect(readAll([pathname])).rejects.toMatchObject(refusal)
    await expect(files.rereadPage(pathname, 0)).rejects.toMatchObject(refusal)
  })

  test('a directory that is none', async () => {
    await expect(
      LocalClusterFiles.open(directory).then((opened) => opened.listFiles(99)),
    ).rejects.toMatchObject({
      code: 'USAGE',
      message: 'there is no tablespace with OID 99',
    })
    const nowhere = await LocalClusterFiles.open(join(directory, 'nowhere'))
    await expect(nowhere.listFiles(undefined)).rejects.toMatchObject({ code: 'IO' })
  })
})

async function readAll(pathnames: readonly string[], afterFirst?: () => void): Promise<FileEvent[]> {
  const events: FileEvent[] = []
  for await (const event of files.read(unsized(...pathnames), undefined)) {
    // The buffer is used again.
    events.push(event.type === 'bytes' ? { type: 'bytes', bytes: Buffer.from(event.bytes) } : event)
    if (events.length === 1) afterFirst?.()
  }
  return events
}

function contentIn(events: readonly FileEvent[]): Buffer {
  return Buffer.concat(events.flatMap((event) => (event.type === 'bytes' ? [event.bytes] : [])))
}

async function contentOf(pathname: string): Promise<string> {
  return contentIn(await readAll([pathname])).toString()
}
