import { createReadStream } from 'node:fs'
import { mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import {
  type VerifyArchiveOptions,
  verifyArchiveStream,
  verifyBackup,
  type VerifyOptions,
  type VerifyReport,
} from 'pbmanifest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hasCompressor } from '../../helpers/compressors.js'
import { shell } from '../../cli/pbmanifest.js'
import { paxHeader, tarArchive, tarEnd, tarMember } from '../../files/tar/make-tar.js'
import { mustRun } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { makeFifo } from '../damage.js'
import {
  directories,
  empty,
  intactArchives,
  remote,
  version,
  writeSmallTarBackup,
} from './small-tar-backup.js'

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

// One thread: each costs more than all that there is to read here. That their number does not matter has a test of its own.
const tarOptions: VerifyOptions = { format: 'tar', noParseWal: true, jobs: 1 }

async function verifySmall(
  archives: Readonly<Record<string, Buffer | undefined>>,
  options: VerifyOptions = tarOptions,
): Promise<VerifyReport> {
  return await verifyBackup(
    await writeSmallTarBackup(scratch.path, { ...intactArchives, ...archives }),
    options,
  )
}

/** Problems as `kind: message`, and their details behind a bar. */
function told({ problems }: VerifyReport): string[] {
  return problems.map(
    ({ kind, message, detail }) => `${kind}: ${message}${detail === undefined ? '' : ` | ${detail}`}`,
  )
}

const base = intactArchives['base.tar']
const bytes = (text: string): Buffer => tarMember({ name: 'extra' }, text)

test('a small tar backup verifies', async () => {
  const report = await verifySmall({})
  expect(report).toMatchObject({ verdict: 'verified', format: 'tar', filesChecked: 3, bytesChecked: 9 })
})

/**
 * What pg_verifybackup 18 accepts, and what it says. It cannot be run here; these are the observations that our notes
 * on it list. Where ours differs, `peer` says how.
 */
test.each<{
  what: string
  archives: Readonly<Record<string, Buffer | undefined>>
  problems: readonly string[]
  /** Why we say something else. */
  peer?: string
}>([
  { what: 'members in any order', archives: { 'base.tar': tarArchive(empty, version) }, problems: [] },
  {
    what: 'directories of any name',
    archives: {
      'base.tar': tarArchive(version, tarMember({ name: 'x/', typeflag: '5' }), empty),
    },
    problems: [],
  },
  {
    what: 'links of any name',
    archives: {
      'base.tar': tarArchive(version, tarMember({ name: 'y', typeflag: '2', target: 'x' }), empty),
    },
    problems: ['extra: symbolic link "y" is present in archive "base.tar" but not in the manifest'],
    peer: 'passes over what is no file; see members-that-are-no-files.test.ts',
  },
  {
    what: 'an OID with leading zeros',
    archives: { '16385.tar': undefined, '016385.tar': tarArchive(remote) },
    problems: [],
  },
  {
    what: 'archives compressed with gzip',
    archives: {
      'base.tar': undefined,
      'base.tgz': gzipSync(base),
      '16385.tar': undefined,
      '16385.tar.gz': gzipSync(tarArchive(remote)),
    },
    problems: [],
  },
  {
    what: 'more zeros behind the end',
    archives: { 'base.tar': Buffer.concat([base, Buffer.alloc(8704)]) },
    problems: [],
  },
  {
    what: 'other files',
    archives: {
      'base2.tar': base,
      'base.zip': base,
      '0.tar': base,
      '4294967296.tar': base,
      'notes.txt': base,
    },
    problems: ['0.tar', '4294967296.tar', 'base.zip', 'base2.tar', 'notes.txt'].map(
      (name) => `extra: file "${name}" is not expected in a tar format backup`,
    ),
  },
  {
    what: 'an extra member',
    archives: { 'base.tar': tarArchive(version, bytes('x'), empty) },
    problems: ['extra: file "extra" is present in archive "base.tar" but not in the manifest'],
  },
  {
    what: 'an extra member in a tablespace',
    archives: { '16385.tar': tarArchive(bytes('x'), remote) },
    problems: ['extra: file "extra" is present in archive "16385.tar" but not in the manifest'],
  },
  {
    what: 'a wrong size',
    archives: { 'base.tar': tarArchive(tarMember({ name: 'PG_VERSION' }, '15'), empty) },
    problems: [
      'size-mismatch: file "PG_VERSION" has size 2 in archive "base.tar" but size 3 in the manifest',
    ],
  },
  {
    what: 'a wrong checksum',
    archives: { '16385.tar': tarArchive(tarMember({ name: './PG_15_202209061/5/16390' }, '15\n16\n')) },
    problems: [
      'checksum-mismatch: checksum mismatch for file "pg_tblspc/16385/PG_15_202209061/5/16390" in archive "16385.tar"',
    ],
  },
  {
    what: 'a missing member',
    archives: { 'base.tar': tarArchive(version, ...directories) },
    problems: ['missing: "base/1/16384" is present in the manifest but not on disk'],
  },
  {
    what: 'a missing archive of a tablespace',
    archives: { '16385.tar': undefined },
    problems: [
      'missing: "pg_tblspc/16385/PG_15_202209061/5/16390" is present in the manifest but not on disk',
    ],
  },
  {
    what: 'no base.tar',
    archives: { 'base.tar': undefined },
    problems: [
      'missing: "PG_VERSION" is present in the manifest but not on disk',
      'missing: "base/1/16384" is present in the manifest but not on disk',
    ],
  },
  {
    what: 'names that leave the directory',
    archives: {
      'base.tar': tarArchive(
        version,
        tarMember({ name: '../x' }),
        tarMember({ name: '/x' }),
        tarMember({ name: 'a/../../x', typeflag: '5' }),
        tarMember({ name: '' }),
        empty,
      ),
    },
    problems: [
      'bad-archive: archive "base.tar": tar member has unsafe path name: "../x"',
      'bad-archive: archive "base.tar": tar member has unsafe path name: "/x"',
      'bad-archive: archive "base.tar": tar member has unsafe path name: "a/../../x"',
      'bad-archive: archive "base.tar": tar member has empty name',
    ],
    peer: 'stops at the first',
  },
  {
    what: 'a text',
    archives: { 'base.tar': Buffer.alloc(2048, 'no archive ') },
    problems: [
      'bad-archive: archive "base.tar": input file does not appear to be a valid tar archive | bad header checksum at byte 0',
    ],
    peer: 'stops',
  },
  {
    what: 'gzip in an archive whose name does not say so',
    archives: { 'base.tar': gzipSync(Buffer.concat([base, Buffer.alloc(99_000)]), { level: 0 }) },
    problems: [
      'bad-archive: archive "base.tar": input file does not appear to be a valid tar archive | it looks like gzip, but by its name it is not compressed',
    ],
    peer: 'stops, without the reason',
  },
  {
    what: 'an archive whose name says that it is compressed',
    archives: { 'base.tar': undefined, 'base.tar.zst': base },
    problems: [
      'bad-archive: archive "base.tar.zst": its zstd data are damaged | it does not look compressed, but by its name it is zstd',
    ],
    peer: 'stops',
  },
  {
    what: 'a cut in a member',
    archives: { 'base.tar': base.subarray(0, 514) },
    problems: [
      'bad-archive: archive "base.tar": it ends in the middle of member "PG_VERSION" | it has 514 bytes, and its last member is "PG_VERSION"',
    ],
    peer: 'stops: COPY stream ended before last file was finished',
  },
  {
    what: 'a cut in compressed data',
    archives: { 'base.tar': undefined, 'base.tar.gz': gzipSync(base).subarray(0, 60) },
    problems: ['bad-archive: archive "base.tar.gz": its gzip data are damaged | unexpected end of file'],
    peer: 'stops',
  },
  {
    what: 'a cut between members',
    archives: { 'base.tar': version },
    problems: [
      'bad-archive: archive "base.tar": it ends without its end mark | it has 1024 bytes, and its last member is "PG_VERSION"',
    ],
    peer: 'takes this for the end, and finds what is missing only if the manifest has it: WAL it does not',
  },
  {
    what: 'bytes behind the end',
    archives: { 'base.tar': Buffer.concat([base, version]) },
    problems: [
      'bad-archive: archive "base.tar": there are other bytes behind its end | its last member is "./base/1/16384"',
    ],
    peer: 'does not look at them',
  },
  {
    what: 'an empty archive',
    archives: { '16385.tar': Buffer.alloc(0) },
    problems: ['bad-archive: archive "16385.tar": it is empty'],
    peer: 'takes it for an archive without members',
  },
  {
    what: 'an archive without members',
    archives: { '16385.tar': tarEnd },
    problems: [
      'missing: "pg_tblspc/16385/PG_15_202209061/5/16390" is present in the manifest but not on disk',
    ],
  },
  {
    what: 'pax headers',
    archives: {
      'base.tar': tarArchive(paxHeader({ path: 'PG_VERSION' }), tarMember({ name: 'x' }, '15\n'), empty),
    },
    problems: [],
    peer: 'stops: pax extensions to tar format are not supported',
  },
  {
    what: 'a member twice',
    archives: { 'base.tar': tarArchive(version, empty, tarMember({ name: './PG_VERSION' }, '16\n')) },
    problems: [
      'duplicate: file "PG_VERSION" is present more than once in archive "base.tar"',
      'checksum-mismatch: checksum mismatch for file "PG_VERSION" in archive "base.tar"',
    ],
    peer: 'checks each, and does not mind that there are two',
  },
  {
    what: 'a member in two archives',
    archives: {
      'base.tar': tarArchive(
        version,
        empty,
        tarMember({ name: 'pg_tblspc/16385/PG_15_202209061/5/16390' }, '15\n15\n'),
      ),
    },
    problems: [
      'duplicate: file "pg_tblspc/16385/PG_15_202209061/5/16390" is present in archive "base.tar" and in archive "16385.tar"',
    ],
    peer: 'does not mind',
  },
  {
    what: 'an archive twice',
    archives: { 'base.tar.gz': gzipSync(base) },
    problems: ['duplicate: file "base.tar.gz" should hold the same as "base.tar", and was not read'],
    peer: 'reads both',
  },
])('$what', async ({ archives, problems }) => {
  const report = await verifySmall(archives)
  expect(told(report)).toEqual(problems)
  expect(report.verdict).toBe(problems.length === 0 ? 'verified' : 'failed')
})

describe('what stands in the place of an archive', () => {
  let path: string
  let directory: string

  beforeEach(async () => {
    directory = await writeSmallTarBackup(scratch.path, intactArchives)
    path = join(directory, 'base.tar')
  })

  test.each<{ what: string; make: (path: string) => Promise<unknown>; first: string | undefined }>([
    { what: 'a FIFO', make: makeFifo, first: 'not-a-file: file "base.tar" is not a regular file' },
    {
      what: 'a directory',
      make: (at) => mkdir(at),
      first: 'not-a-file: file "base.tar" is not a regular file',
    },
    {
      what: 'a link to nothing',
      make: (at) => symlink('nowhere', at),
      first: 'unreadable: could not stat file or directory "base.tar": No such file or directory',
    },
    {
      what: 'a link to itself',
      make: (at) => symlink('base.tar', at),
      first: 'unreadable: could not stat file or directory "base.tar": Too many levels of symbolic links',
    },
    {
      what: 'a link to a device',
      make: (at) => symlink('/dev/zero', at),
      first: 'not-a-file: file "base.tar" is not a regular file',
    },
    {
      what: 'a link to the archive',
      make: async (at) => {
        await writeFile(join(scratch.path, 'elsewhere'), base)
        await symlink('../elsewhere', at)
      },
      first: undefined,
    },
  ])('is $what', async ({ make, first }) => {
    await rm(path)
    await make(path)
    expect(told(await verifyBackup(directory, tarOptions))[0]).toBe(first)
  })

  test('is a huge archive of zeros, which takes no time and no memory', async () => {
    await truncate(path, 200 * 1024 ** 2)
    expect((await verifyBackup(directory, tarOptions)).problems).toEqual([])
  })
})

test('files that may be in the unread part of an archive are not called missing', async () => {
  const { problems, notChecked } = await verifySmall({
    'base.tar': tarMember({ name: 'PG_VERSION' }, '15\n').subarray(0, 514),
  })
  expect(problems.map(({ kind }) => kind)).toEqual(['bad-archive'])
  expect(notChecked).toContainEqual({
    what: 'unseen-files',
    why: '1 file of the manifest may be in the part of archive "base.tar" that could not be read',
  })
})

test('names that are not UTF-8 are compared as bytes', async () => {
  const name = Buffer.from([0x62, 0xff])
  const { problems } = await verifySmall({ 'base.tar': tarArchive(version, empty, tarMember({ name })) })
  expect(problems).toEqual([
    {
      kind: 'extra',
      encodedPath: '62ff',
      message: 'file "b\\xff" is present in archive "base.tar" but not in the manifest',
      archive: 'base.tar',
      member: 'b\\xff',
      size: { found: 0 },
    },
  ])
})

test('what is ignored is ignored in archives, and as an archive', async () => {
  const archives = {
    'base.tar': tarArchive(version, ...directories, bytes('x')),
    'notes.txt': base,
    '16385.tar': Buffer.from('x'),
  }
  const ignore = ['extra', 'base', '*.txt', '16385.tar', 'pg_tblspc']
  expect(told(await verifySmall(archives, { ...tarOptions, ignore }))).toEqual([])
})

test.runIf(hasCompressor('zstd'))(
  'a bomb is left when it has grown beyond all that its bytes can sensibly hold',
  async () => {
    const directory = await writeSmallTarBackup(scratch.path, { ...intactArchives, 'base.tar': undefined })
    const head = join(scratch.path, 'head')
    await writeFile(head, tarMember({ name: 'bomb', size: 60 * 1024 ** 3 }))
    const line = '{ cat "$1"; head -c 2000000000 /dev/zero; } | zstd -q -1 > "$2/base.tar.zst"'
    await mustRun('bash', ['-c', line, 'bash', head, directory])
    const { problems } = await verifyBackup(directory, tarOptions)
    expect(problems.map(({ message }) => message)).toEqual([
      'file "bomb" is present in archive "base.tar.zst" but not in the manifest',
      'archive "base.tar.zst": it is a decompression bomb',
    ])
  },
)

describe('without a format', () => {
  test.each<{ what: string; archives: Readonly<Record<string, Buffer>>; format: 'plain' | 'tar' }>([
    { what: 'archives', archives: intactArchives, format: 'tar' },
    {
      what: 'only the archive of a tablespace',
      archives: { '16385.tar': tarArchive(remote) },
      format: 'tar',
    },
    { what: 'nothing like an archive', archives: { 'notes.txt': base }, format: 'plain' },
    {
      what: 'PG_VERSION beside archives',
      archives: { ...intactArchives, PG_VERSION: Buffer.from('15\n') },
      format: 'plain',
    },
  ])('a directory with $what is taken as $format', async ({ archives, format }) => {
    const directory = await writeSmallTarBackup(scratch.path, archives)
    expect((await verifyBackup(directory, { noParseWal: true })).format).toBe(format)
  })
})

describe('on standard input', () => {
  let directory: string

  beforeEach(async () => {
    directory = await writeSmallTarBackup(scratch.path, intactArchives)
  })

  const start = 'pbmanifest verify -n -F tar -m "$1/backup_manifest"'

  test.each([
    {
      what: 'an archive',
      line: `cat "$1/base.tar" | ${start} --archive=base -`,
      status: 0,
      output: /^only a part of the backup was verified; .*\n2 of 3 files.*files that were not seen/,
    },
    {
      what: 'an archive of several, when the backup was to be verified,',
      line: `cat "$1/base.tar" | ${start} -`,
      status: 7,
      output: /files that were not seen.*\n.*only a part of the backup was verified; .*\n.*hint: .*--archive/,
    },
    {
      what: 'an archive of which all is ignored',
      line: `${start} --archive=base -i "*" - < "$1/base.tar"`,
      status: 7,
      output: /^pbmanifest: 0 of 3 files.*\npbmanifest: only a part of the backup was verified/,
    },
    {
      what: 'a compressed archive',
      line: `gzip -c "$1/base.tar" | ${start} --archive=base -`,
      status: 0,
      output: /^only a part of the backup/,
    },
    {
      what: 'a file',
      line: `${start} --archive=base - < "$1/base.tar"`,
      status: 0,
      output: /^only a part of the backup/,
    },
    {
      what: 'an archive in many pieces',
      line: `while IFS= read -r -d "" -n1 c; do printf %s "\${c:-}" ; [ -n "$c" ] || printf '\\0'; done < "$1/base.tar" | ${start} --archive=base -`,
      status: 0,
      output: /^only a part of the backup/,
    },
    {
      what: 'a tablespace',
      line: `${start} --archive=16385 - < "$1/16385.tar"`,
      status: 0,
      output: /^only a part of the backup/,
    },
    {
      what: 'a tablespace by the name of its file',
      line: `${start} --archive=16385.tar.gz - < "$1/16385.tar"`,
      status: 0,
      output: /^only a part of the backup/,
    },
    {
      what: 'an archive that is cut',
      line: `head -c 514 "$1/base.tar" | ${start} -`,
      status: 1,
      output: /archive "base.tar": it ends in the middle of member "PG_VERSION"/,
    },
    { what: 'nothing', line: `${start} - < /dev/null`, status: 1, output: /archive "base.tar": it is empty/ },
    {
      what: 'text without end',
      line: `yes | ${start} -`,
      status: 1,
      output: /does not appear to be a valid tar archive/,
    },
    {
      what: 'no manifest',
      line: 'pbmanifest verify -F tar - < "$1/base.tar"',
      status: 2,
      output: /-m\/--manifest-path is needed/,
    },
    {
      what: 'a manifest that is not there',
      line: 'yes | pbmanifest verify -F tar -m "$1/none" -',
      status: 5,
      output: /could not open file ".*\/none"/,
    },
    {
      what: 'a plain backup',
      line: `pbmanifest verify -F plain -m "$1/backup_manifest" - < "$1/base.tar"`,
      status: 2,
      output: /plain format cannot come from standard input/,
    },
    {
      what: 'an unknown archive',
      line: `${start} --archive=x - < "$1/base.tar"`,
      status: 2,
      output: /invalid archive "x"/,
    },
    {
      what: '--archive without need',
      line: `${start} --archive=base "$1"`,
      status: 2,
      output: /--archive is for an archive on standard input/,
    },
  ])('$what has status $status', async ({ line, status, output }) => {
    const result = await shell(line, directory)
    expect(result.stdout + result.stderr).toMatch(output)
    expect(result.status).toBe(status)
  })

  test('a stream that stops is left when told to', async () => {
    const line = `mkfifo "$1/f"; sleep 100 > "$1/f" & exec 3< "$1/f"
      "$NODE" "$MAIN" verify -n -P -F tar -m "$1/backup_manifest" - <&3 2> "$1/e" &
      until [ -s "$1/e" ]; do sleep 0.1; done; kill -TERM $!; wait $!; s=$?; kill %1; exit $s`
    expect(await shell(line, directory)).toMatchObject({ status: 143 })
  })
})

function refuse(): never {
  throw new TypeError('of the caller')
}

test('what the caller throws is passed on', async () => {
  const directory = await writeSmallTarBackup(scratch.path, {
    ...intactArchives,
    'base.tar': Buffer.from('x'),
  })
  await expect(verifyBackup(directory, { ...tarOptions, onProblem: refuse })).rejects.toThrow('of the caller')
})

test('only the first problem is told when that is enough, the same for every number of jobs', async () => {
  const directory = await writeSmallTarBackup(scratch.path, {
    'base.tar': tarArchive(bytes('x'), bytes('y')),
    '16385.tar': tarArchive(bytes('z')),
  })
  for (const jobs of [1, 2]) {
    const report = await verifyBackup(directory, { ...tarOptions, jobs, exitOnError: true })
    expect(told(report)).toEqual([
      'extra: file "extra" is present in archive "base.tar" but not in the manifest',
    ])
    expect(report.notChecked).toContainEqual(expect.objectContaining({ what: 'after-first-problem' }))
  }
})

function streamOptions(): VerifyArchiveOptions {
  return { manifestPath: join(scratch.path, 'backup/backup_manifest'), noParseWal: true }
}

describe('a stream', () => {
  beforeEach(async () => {
    await writeSmallTarBackup(scratch.path, intactArchives)
  })

  test('is verified, and destroyed in the end', async () => {
    const stream = Readable.from([base.subarray(0, 3), base.subarray(3)])
    expect(await verifyArchiveStream(stream, streamOptions())).toMatchObject({
      verdict: 'partial',
      filesChecked: 2,
    })
    expect(stream.destroyed).toBe(true)
  })

  test('that fails is an error', async () => {
    const stream = createReadStream('/nowhere/base.tar')
    await expect(verifyArchiveStream(stream, streamOptions())).rejects.toMatchObject({
      code: 'IO',
      message: 'could not read the archive: No such file or directory',
    })
  })

  test('that fails in a way of its own is an error', async () => {
    const stream = Readable.from([base.subarray(0, 600)])
    const verified = verifyArchiveStream(stream, streamOptions())
    stream.destroy(new TypeError('fetch failed'))
    await expect(verified).rejects.toMatchObject({
      code: 'IO',
      message: 'could not read the archive: fetch failed',
    })
  })

  test('that has no end is left when the signal fires', async () => {
    const abort = new AbortController()
    const stream = Readable.from(
      (async function* () {
        yield base.subarray(0, 600)
        abort.abort()
        await new Promise(() => {})
      })(),
    )
    const verified = verifyArchiveStream(stream, { ...streamOptions(), signal: abort.signal })
    await expect(verified).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
