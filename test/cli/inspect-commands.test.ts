import { writeFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { validatorOf } from '../../src/schemas/validator.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { manifestText, rangeEntry, versionLine2 } from '../manifest/manifest-text.js'
import { pbmanifest, shell } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'

function entry(path: string, size: number, more = ', "Last-Modified": "2026-01-02 03:04:05 GMT"'): string {
  return `{ ${path}, "Size": ${size}${more}, "Checksum-Algorithm": "CRC32C", "Checksum": "${checksumOf(size)}" }`
}

/** Any; the same for the same size. */
function checksumOf(size: number): string {
  return ((size * 2_654_435_761) % 2 ** 32).toString(16).padStart(8, '0')
}

const files = [
  '{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-01-02 03:04:05 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "994e7be2" }',
  entry('"Path": "base/5/16384"', 8192),
  entry('"Path": "base/5/16384_fsm"', 24576, ', "Last-Modified": "2026-11-22 21:34:22 GMT"'),
  entry('"Path": "base/5/16384_vm"', 8192, ''),
  entry('"Path": "base/5/INCREMENTAL.1259"', 4096),
  entry('"Path": "base/5/pg_filenode.map"', 524),
  entry('"Path": "base/1/1259"', 16384),
  entry('"Path": "global/1260"', 8192),
  entry('"Path": "global/pg_control"', 8192),
  entry('"Path": "pg_tblspc/16400/PG_18_202506291/5/16401.1"', 16384),
  '{ "Path": "postgresql.conf", "Size": 7, "Last-Modified": "yesterday" }',
]

const manifest = (parts: Parameters<typeof manifestText>[0] = {}): Buffer =>
  manifestText({ head: versionLine2, files, ...parts })

let scratch: ScratchDirectory
let backup: string

function place(name: string, bytes: Buffer | string): string {
  const path = join(scratch.path, name)
  writeFileSync(path, bytes)
  return path
}

beforeEach(async () => {
  scratch = createScratchDirectory()
  backup = join(scratch.path, 'backup')
  await mkdir(backup)
  await writeFile(join(backup, 'backup_manifest'), manifest())
})

afterEach(() => scratch.remove())

describe('pbmanifest show', () => {
  test('tells what the manifest of a directory says', async () => {
    expect(await pbmanifest(['show', '--largest=2', backup])).toEqual({
      status: 0,
      stdout: `manifest           "${backup}/backup_manifest"
version            2, of PostgreSQL 18
system identifier  7711113546893945671
WAL                timeline 1 from 0/2000028 to 0/2000100
files              11 files, 92.5 kB
incremental        1 file, 4.0 kB
checksums          NONE (1 file), CRC32C (10 files)
modified           2026-01-02 03:04:05 GMT to 2026-11-22 21:34:22 GMT

tablespace  files     size
pg_default      6  60.5 kB
pg_global       2  16.0 kB
16400           1  16.0 kB

database  files     size
1             1  16.0 kB
5             6  60.5 kB

fork         files     size
main             5  52.0 kB
fsm              1  24.0 kB
vm               1   8.0 kB
no relation      4   8.5 kB

largest files, in bytes
  24576  base/5/16384_fsm
  16384  base/1/1259
`,
      stderr: '',
    })
  })

  test('prints one JSON document', async () => {
    const { status, stdout, stderr } = await runCommandLine(['show', '--output=json', '--largest=0', backup])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const document: unknown = JSON.parse(stdout)
    expect(validatorOf('manifest-overview')(document)).toBe(undefined)
    expect(document).toMatchObject({
      systemIdentifier: '7711113546893945671',
      majorVersion: 18,
      walRanges: [{ timeline: 1, startLsn: '0/2000028', endLsn: '0/2000100' }],
      files: 11,
      tablespaces: [{ tablespace: 'pg_default' }, { tablespace: 'pg_global' }, { tablespace: '16400' }],
      largestFiles: [],
    })
  })

  test('takes an empty manifest of version 1', async () => {
    const { status, stdout } = await runCommandLine([
      'show',
      place('empty', manifestText({ files: [], ranges: [] })),
    ])
    expect(status).toBe(0)
    expect(stdout).toContain(`version            1
system identifier  not in a manifest of version 1
files              0 files, 0 bytes
checksums          none
modified           not said
`)
  })

  test('takes a manifest from a pipe', async () => {
    const { status, stdout } = await shell('pbmanifest show <(cat "$1")', join(backup, 'backup_manifest'))
    expect(status).toBe(0)
    expect(stdout).toContain('files              11 files, 92.5 kB\n')
  })

  const refused = [
    {
      name: 'empty',
      bytes: () => '',
      words: 'could not parse backup manifest: The input string ended unexpectedly.',
    },
    {
      name: 'cut',
      bytes: () => manifest().subarray(0, 700),
      words: 'could not parse backup manifest: The input string ended unexpectedly.',
    },
    {
      name: 'changed',
      bytes: () => Buffer.from(manifest().toString().replace('8192', '8193')),
      words: 'manifest checksum mismatch',
    },
    {
      name: 'doubled',
      bytes: () => manifest({ files: [...files, entry('"Path": "base/1/1259"', 1)] }),
      words: 'duplicate path name in backup manifest: "base/1/1259"',
    },
    {
      name: 'future',
      bytes: () => Buffer.from(manifest().toString().replace('Version": 2', 'Version": 3')),
      words: 'unexpected manifest version',
    },
    {
      name: 'huge',
      bytes: () =>
        manifest({ files: ['a', 'b'].map((name) => entry(`"Path": "${name}"`, Number.MAX_SAFE_INTEGER)) }),
      words: 'the sizes of all files exceed 2^53 bytes',
    },
  ]

  test.each(refused)('refuses one that is $name, as ls and diff do', async ({ name, bytes, words }) => {
    const path = place(name, bytes())
    for (const args of [
      ['show', path],
      ['ls', path],
      ['diff', backup, path],
      ['diff', path, backup],
    ]) {
      const { status, stdout, stderr } = await runCommandLine(args)
      expect({ args, status, stdout }).toEqual({ args, status: 3, stdout: '' })
      expect(stderr).toMatch(/^pbmanifest: error: [^\n]*\n$/)
      expect(stderr).toContain(words)
      expect(stderr).toContain(`(in "${path}")`)
    }
  })

  test('names a file that is not there', async () => {
    expect(await runCommandLine(['show', join(scratch.path, 'none')])).toMatchObject({
      status: 5,
      stdout: '',
      stderr: `pbmanifest: error: could not open file "${scratch.path}/none": No such file or directory\n`,
    })
    expect(await runCommandLine(['show', '--output=json', scratch.path])).toMatchObject({
      status: 5,
      stdout: expect.stringContaining('"code": "IO"'),
      stderr: `pbmanifest: error: could not open file "${scratch.path}/backup_manifest": No such file or directory\n`,
    })
  })

  test.each([
    [['show'], 'no manifest or backup directory specified'],
    [['show', 'a', 'b'], 'too many command-line arguments (first is "b")'],
    [['show', '--largest=-1', 'a'], 'invalid value "-1" for option --largest'],
    [['show', '--output=xml', 'a'], 'invalid value "xml" for option --output'],
    [['ls'], 'no manifest or backup directory specified'],
    [['ls', '-l', '--output=json', 'a'], 'cannot specify both --output=json and --long'],
    [['ls', '-z', '--output=json', 'a'], 'cannot specify both --output=json and --null'],
    [['ls', '--sort=colour', 'a'], 'invalid value "colour" for option --sort'],
    [['diff', 'a'], 'must specify two manifests or backup directories'],
    [['diff', 'a', 'b', 'c'], 'too many command-line arguments (first is "c")'],
  ])('%j makes no sense', async (args, words) => {
    const { status, stderr } = await runCommandLine(args)
    expect(status).toBe(2)
    expect(stderr).toContain(`pbmanifest: error: ${words}\n`)
  })
})

describe('pbmanifest ls', () => {
  test('lists names in the order of their bytes', async () => {
    expect(await runCommandLine(['ls', backup, 'base/5', 'global/'])).toEqual({
      status: 0,
      stdout:
        'base/5/16384\nbase/5/16384_fsm\nbase/5/16384_vm\nbase/5/INCREMENTAL.1259\nbase/5/pg_filenode.map\nglobal/1260\nglobal/pg_control\n',
      stderr: '',
    })
  })

  test('-l has size, time and checksum as words of their own', async () => {
    const args = [
      'ls',
      '-lr',
      '--sort=time',
      backup,
      'PG_VERSION',
      'postgresql.conf',
      'base/5/16384_fsm',
      'base/5/16384_vm',
    ]
    expect(await runCommandLine(args)).toEqual({
      status: 0,
      stdout: `    7 -                    - postgresql.conf
 8192 -                    CRC32C:${checksumOf(8192)} base/5/16384_vm
    3 2026-01-02T03:04:05Z CRC32C:994e7be2 PG_VERSION
24576 2026-11-22T21:34:22Z CRC32C:${checksumOf(24576)} base/5/16384_fsm
`,
      stderr: '',
    })
  })

  const odd = place.bind(undefined, 'odd')
  const oddNames = [
    entry('"Path": "a\\nb"', 1),
    entry('"Encoded-Path": "62ff"', 1),
    entry('"Path": "c\\u001b[31m"', 1),
    entry('"Path": "d\\\\xff"', 1),
    entry('"Path": "\u00e9\u202e"', 1),
  ]

  test('shows a hostile name escaped, and finds it by what is shown', async () => {
    const path = odd(manifest({ files: oddNames }))
    const { stdout } = await runCommandLine(['ls', path])
    const shown = [
      String.raw`a\x0ab`,
      String.raw`b\xff`,
      String.raw`c\x1b[31m`,
      String.raw`d\x5cxff`,
      String.raw`é\xe2\x80\xae`,
    ]
    expect(stdout).toBe(`${shown.join('\n')}\n`)
    for (const name of shown) expect((await runCommandLine(['ls', path, name])).stdout).toBe(`${name}\n`)
  })

  test('-z gives names as they are', async () => {
    const path = odd(manifest({ files: oddNames }))
    const { stdout } = await shell('pbmanifest ls -z "$1" | od -An -v -tx1 | tr -d " \\n"', path)
    expect(Buffer.from(stdout, 'hex').toString('latin1')).toBe(
      'a\nb\0b\xff\0c\x1b[31m\0d\\xff\0\xc3\xa9\xe2\x80\xae\0',
    )
  })

  test('prints one JSON document', async () => {
    const { status, stdout } = await runCommandLine([
      'ls',
      '--output=json',
      odd(manifest({ files: oddNames })),
    ])
    expect(status).toBe(0)
    const document: unknown = JSON.parse(stdout)
    expect(validatorOf('manifest-file-list')(document)).toBe(undefined)
    expect(document).toMatchObject({
      count: 5,
      files: [{ path: 'a\nb' }, { encodedPath: '62ff' }, {}, {}, {}],
    })
  })

  test('names what the manifest does not have, after what it has', async () => {
    expect(await runCommandLine(['ls', backup, 'nothing', 'PG_VERSION', 'base/5/1638'])).toEqual({
      status: 1,
      stdout: 'PG_VERSION\n',
      stderr:
        'pbmanifest: error: the manifest has no "nothing"\npbmanifest: error: the manifest has no "base/5/1638"\n',
    })
  })

  test('ends quietly when nobody reads on', async () => {
    const many = Array.from({ length: 20_000 }, (_, number) => entry(`"Path": "base/5/${number + 1}"`, 1))
    const { status, stdout, stderr } = await shell(
      'set -o pipefail; pbmanifest ls "$1" | head -n 1',
      place('many', manifest({ files: many })),
    )
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'base/5/1\n', stderr: '' })
  })
})

describe('pbmanifest diff', () => {
  test('says nothing of two that are the same', async () => {
    const copy = place('copy', manifest())
    expect(await runCommandLine(['diff', backup, copy])).toEqual({
      status: 0,
      stdout: '',
      stderr: 'pbmanifest: 11 files the same\n',
    })
  })

  test('names each file that differs, and how', async () => {
    const changed = [
      ...files.slice(0, 4).map((line) => line.replace('03:04:05', '09:09:09')),
      files[5]?.replace(/"Checksum": ".*?"/, '"Checksum": "00000000"') ?? '',
      files[6]?.replace('16384', '16385') ?? '',
      files[7]?.replace('8192', '1') ?? '',
      ...files.slice(8),
      entry('"Path": "base/5/new"', 512),
    ]
    const other = place('other', manifest({ files: changed, ranges: [rangeEntry.replaceAll('0/2', '0/4')] }))
    expect(await runCommandLine(['diff', backup, other])).toEqual({
      status: 1,
      stdout: `wal-ranges\t1,0/2000028,0/2000100\t1,0/4000028,0/4000100
grown\t16384\t16385\tbase/1/1259
removed\t4096\t-\tbase/5/INCREMENTAL.1259
added\t-\t512\tbase/5/new
changed\t524\t524\tbase/5/pg_filenode.map
shrunk\t8192\t1\tglobal/1260
not-compared\t8192\t8192\tglobal/pg_control
not-compared\t7\t7\tpostgresql.conf
`,
      stderr:
        'pbmanifest: 1 added (512 bytes), 1 removed (4.0 kB), 1 grown (16.0 kB), 1 shrunk (1 byte), 1 changed (524 bytes), 2 not compared (8.0 kB), 5 files the same; 11.5 kB less in all\n',
    })
    expect(await runCommandLine(['diff', '-q', backup, other])).toEqual({ status: 1, stdout: '', stderr: '' })
    const { stdout } = await runCommandLine(['diff', '--output=json', backup, other])
    const document: unknown = JSON.parse(stdout)
    expect(validatorOf('manifest-diff')(document)).toBe(undefined)
    expect(document).toMatchObject({ verdict: 'different', isSameCluster: true, sameFiles: 5 })
  })

  test('has a status of its own for files that nothing compares', async () => {
    const other = place('other', manifest({ files: files.toReversed() }))
    expect(await runCommandLine(['diff', backup, other])).toMatchObject({
      status: 7,
      stdout: 'not-compared\t8192\t8192\tglobal/pg_control\nnot-compared\t7\t7\tpostgresql.conf\n',
    })
  })

  test('warns of manifests of two clusters', async () => {
    const other = place('other', manifest({ head: versionLine2.replace('7711113546893945671', '42') }))
    expect(await runCommandLine(['diff', backup, other])).toEqual({
      status: 1,
      stdout: expect.stringMatching(/^system-identifier\t7711113546893945671\t42\n/),
      stderr: expect.stringContaining(
        'pbmanifest: warning: the manifests are of two clusters: system identifier 7711113546893945671 and 42\n',
      ),
    })
  })
})
