import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { mkdir, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DamagedArchiveError } from '../../../src/files/damaged-archive-error.js'
import { TarReader } from '../../../src/files/tar/tar-reader.js'
import { mustRun } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { gnuMagic, paxHeader, sealHeader, tarArchive, tarEnd, tarHeader, tarMember } from './make-tar.js'

interface ReadMember {
  readonly name: string
  readonly isFile: boolean
  readonly size: number
  /** `undefined` as long as it is not whole. */
  content?: string
}

interface Reading {
  readonly members: readonly ReadMember[]
  readonly error?: string
}

/** Reads an archive in the pieces that `cut` makes of it. Names are shown byte by byte. */
function readTar(archive: Buffer, cut: (archive: Buffer) => readonly Buffer[] = (bytes) => [bytes]): Reading {
  const members: ReadMember[] = []
  let parts: string[] = []
  const reader = new TarReader({
    member: ({ name, kind, size }) => {
      parts = []
      members.push({ name: name.toString('latin1'), isFile: kind === 'file', size })
    },
    bytes: (bytes) => void parts.push(bytes.toString('latin1')),
    fileEnd: () => {
      const last = members.at(-1)
      if (last !== undefined) last.content = parts.join('')
    },
  })
  try {
    for (const piece of cut(archive)) reader.write(piece)
    reader.end()
    return { members }
  } catch (error) {
    if (!(error instanceof DamagedArchiveError)) throw error
    return { members, error: `${error.message}${error.detail === undefined ? '' : ` (${error.detail})`}` }
  }
}

function file(name: string, content = ''): ReadMember {
  return { name, isFile: true, size: content.length, content }
}

const long = `${'long/'.repeat(60)}name`
const notText = Buffer.from([0x66, 0xff, 0x80, 0x66])
const small = tarArchive(
  tarMember({ name: 'PG_VERSION' }, '15\n'),
  tarMember({ name: 'base/', typeflag: '5' }),
  paxHeader({ path: 'base/\u00e4' }),
  tarMember({ name: 'short' }, 'x'.repeat(700)),
)

test.each([
  { what: 'a file', members: [tarMember({ name: 'a' }, 'abc')], read: [file('a', 'abc')] },
  { what: 'an empty file', members: [tarMember({ name: 'a' })], read: [file('a')] },
  {
    what: 'a file of whole blocks',
    members: [tarMember({ name: 'a' }, 'x'.repeat(1024)), tarMember({ name: 'b' }, 'y')],
    read: [file('a', 'x'.repeat(1024)), file('b', 'y')],
  },
  {
    what: 'a name of 100 bytes',
    members: [tarMember({ name: 'n'.repeat(100) })],
    read: [file('n'.repeat(100))],
  },
  {
    what: 'a name that is not UTF-8',
    members: [tarMember({ name: notText })],
    read: [file(notText.toString('latin1'))],
  },
  { what: "ustar's prefix", members: [tarMember({ name: 'b', prefix: 'base/1' })], read: [file('base/1/b')] },
  {
    what: "no prefix in GNU's headers, which have times there",
    members: [tarMember({ name: 'b', prefix: '14712345670', magic: gnuMagic })],
    read: [file('b')],
  },
  {
    what: "star's shorter prefix",
    members: [
      sealHeader(
        ((block) => {
          block.write('14712345670 ', 476, 'latin1')
          block.write('tar\0', 508, 'latin1')
          return block
        })(tarHeader({ name: 'b', prefix: 'x'.repeat(131) })),
      ),
    ],
    read: [file(`${'x'.repeat(131)}/b`)],
  },
  {
    what: "GNU's long name",
    members: [
      tarMember({ name: '././@LongLink', typeflag: 'L', magic: gnuMagic }, `${long}\0`),
      tarMember({ name: long.slice(0, 100), magic: gnuMagic }, 'abc'),
      tarMember({ name: 'next' }),
    ],
    read: [file(long, 'abc'), file('next')],
  },
  {
    what: "GNU's long target of a link",
    members: [
      tarMember({ name: '././@LongLink', typeflag: 'K', magic: gnuMagic }, `${long}\0`),
      tarMember({ name: 'link', typeflag: '2', magic: gnuMagic }),
    ],
    read: [{ name: 'link', isFile: false, size: 0 }],
  },
  {
    what: "pax's path, for one member",
    members: [
      paxHeader({ path: long, mtime: '1.5' }),
      tarMember({ name: 's' }, 'abc'),
      tarMember({ name: 'b' }),
    ],
    read: [file(long, 'abc'), file('b')],
  },
  {
    what: "pax's path that is not UTF-8",
    members: [paxHeader({ path: notText }), tarMember({ name: 's' })],
    read: [file(notText.toString('latin1'))],
  },
  {
    what: "pax's size",
    members: [paxHeader({ size: '3' }), tarMember({ name: 'a', size: 0 }, 'abc')],
    read: [file('a', 'abc')],
  },
  {
    what: 'global records of pax, which a member may override',
    members: [
      paxHeader({ comment: 'x', path: 'all' }, 'g'),
      tarMember({ name: 'a' }),
      paxHeader({ path: 'own' }),
      tarMember({ name: 'b' }),
    ],
    read: [file('all'), file('own')],
  },
  {
    what: 'a size in base 256',
    members: [
      tarMember({ name: 'a', sizeField: Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]) }, 'abc'),
    ],
    read: [file('a', 'abc')],
  },
  {
    what: 'an old type of file',
    members: [tarMember({ name: 'a', typeflag: '\0' }, 'x')],
    read: [file('a', 'x')],
  },
  {
    what: 'an old directory',
    members: [tarMember({ name: 'a/', typeflag: '\0' })],
    read: [{ name: 'a/', isFile: false, size: 0 }],
  },
  {
    what: 'a header from before POSIX',
    members: [tarMember({ name: 'a', magic: '' }, 'x')],
    read: [file('a', 'x')],
  },
  {
    what: 'links without bytes, whatever size they say',
    members: [
      tarHeader({ name: 'h', typeflag: '1', size: 600 }),
      tarHeader({ name: 's', typeflag: '2', size: 600 }),
      tarMember({ name: 'a' }, 'x'),
    ],
    read: [{ name: 'h', isFile: false, size: 0 }, { name: 's', isFile: false, size: 0 }, file('a', 'x')],
  },
  {
    what: 'a member of an unknown type, as a file',
    members: [tarMember({ name: 'v', typeflag: 'Q' }, 'some bytes'), tarMember({ name: 'a' }, 'x')],
    read: [file('v', 'some bytes'), file('a', 'x')],
  },
  {
    what: 'no member in the name of a volume',
    members: [tarMember({ name: 'v', typeflag: 'V' }, 'some bytes'), tarMember({ name: 'a' }, 'x')],
    read: [file('a', 'x')],
  },
  {
    what: "a directory of GNU's, with a list of what was in it",
    members: [
      tarMember({ name: 'd/', typeflag: 'D', magic: gnuMagic }, 'Ya\0\0'),
      tarMember({ name: 'a' }, 'x'),
    ],
    read: [{ name: 'd/', isFile: false, size: 0 }, file('a', 'x')],
  },
])('$what is read', ({ members, read }) => {
  expect(readTar(tarArchive(...members))).toEqual({ members: read })
})

test('a member says where its bytes begin, in whatever pieces they come', () => {
  const archive = tarArchive(
    tarMember({ name: 'a' }, 'bytes of a'),
    paxHeader({ path: long }),
    tarMember({ name: 'b' }, 'bytes of b'),
  )
  for (const length of [1, 500, 512, 1024, archive.length]) {
    const found: string[] = []
    const reader = new TarReader({
      member: ({ offset, size }) => void found.push(archive.toString('latin1', offset, offset + size)),
      bytes: () => {},
      fileEnd: () => {},
    })
    for (let at = 0; at < archive.length; at += length) reader.write(archive.subarray(at, at + length))
    expect(found).toEqual(['bytes of a', 'bytes of b'])
  }
})

test('more zeros behind the end are read', () => {
  expect(readTar(Buffer.concat([small, Buffer.alloc(10_239)]))).toEqual(readTar(small))
})

const badHeader = (why: string, at: number): string =>
  `input file does not appear to be a valid tar archive (${why} at byte ${at}, behind member "PG_VERSION")`
const version = tarMember({ name: 'PG_VERSION' }, '15\n')

test.each([
  { what: 'nothing', archive: Buffer.alloc(0), error: 'it is empty' },
  {
    what: 'text',
    archive: Buffer.alloc(1024, 'text '),
    error: 'input file does not appear to be a valid tar archive (bad header checksum at byte 0)',
  },
  {
    what: 'a changed header',
    archive: tarArchive(version, version).fill('x', 1030, 1031),
    error: badHeader('bad header checksum', 1024),
  },
  {
    what: 'a negative size',
    archive: tarArchive(version, tarMember({ name: 'a', sizeField: Buffer.alloc(12, 0xff) })),
    error: badHeader('bad size in header', 1024),
  },
  {
    what: 'a size beyond 2^53',
    archive: tarArchive(version, tarMember({ name: 'a', sizeField: Buffer.alloc(12, 0x9f) })),
    error: badHeader('bad size in header', 1024),
  },
  {
    what: 'a size that is no number',
    archive: tarArchive(version, tarMember({ name: 'a', sizeField: Buffer.from('1x') })),
    error: badHeader('bad size in header', 1024),
  },
  {
    what: 'bytes behind the end',
    archive: Buffer.concat([small, version]),
    error: 'there are other bytes behind its end (its last member is "base/\u00e4")',
  },
  {
    what: 'a lone block of zeros between members',
    archive: tarArchive(version, Buffer.alloc(512), version),
    error: 'there are other bytes behind its end (its last member is "PG_VERSION")',
  },
  {
    what: 'no end mark',
    archive: version,
    error: 'it ends without its end mark (it has 1024 bytes, and its last member is "PG_VERSION")',
  },
  {
    what: 'half an end mark',
    archive: Buffer.concat([version, Buffer.alloc(512)]),
    error: 'it ends without its end mark (it has 1536 bytes, and its last member is "PG_VERSION")',
  },
  {
    what: 'a cut in a file',
    archive: tarMember({ name: 'a\nb' }, 'x'.repeat(512)).subarray(0, 1000),
    error: 'it ends in the middle of member "a\\x0ab" (it has 1000 bytes, and its last member is "a\\x0ab")',
  },
  {
    what: 'an extended header without end',
    archive: tarMember({ name: 'x', typeflag: 'x' }, Buffer.alloc(17 * 1024 * 1024, '1')),
    error: 'it has an extended header without end',
  },
  ...['', 'x', '9 path=x', '99 path=x\n', '10 pathxx\n', '-1 path=x\n', '0 path=x\n'].map((records) => ({
    what: `an extended header of ${JSON.stringify(records)}`,
    archive: tarArchive(tarMember({ name: 'x', typeflag: 'x' }, records || 'path'), version),
    error: 'it has an extended header that cannot be read',
  })),
  {
    what: 'an extended header with a size that is none',
    archive: tarArchive(paxHeader({ size: '1e3' }), version),
    error: 'it has an extended header that cannot be read',
  },
  {
    what: 'a volume that begins within a file',
    archive: tarArchive(tarMember({ name: 'a', typeflag: 'M', magic: gnuMagic }, 'rest')),
    error: 'it is one of the volumes of an archive',
  },
  {
    what: 'a sparse file of an unknown program',
    archive: tarArchive(tarMember({ name: 'a', typeflag: 'S' })),
    error: 'it has a sparse member of an unknown format',
  },
  {
    what: 'a sparse file of an unknown format of pax',
    archive: tarArchive(
      paxHeader({ 'GNU.sparse.major': '2', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '9' }),
      tarMember({ name: 'a' }),
    ),
    error: 'it has a sparse member of an unknown format, 2.0',
  },
  ...[
    { what: 'with an odd number', map: '0', size: '9', stored: '' },
    { what: 'with a gap', map: '0,,3', size: '9', stored: '' },
    { what: 'without numbers', map: 'x', size: '9', stored: '' },
    { what: 'longer than the file', map: '0,10', size: '9', stored: 'x'.repeat(10) },
    { what: 'of more than is stored', map: '0,9', size: '9', stored: 'x' },
    { what: 'of less than is stored', map: '0,1', size: '9', stored: 'xx' },
    { what: 'that goes back', map: '512,512,0,1', size: '2000', stored: 'x'.repeat(513) },
    { what: 'that overlaps', map: '0,512,511,1', size: '2000', stored: 'x'.repeat(513) },
    { what: 'whose parts begin within blocks', map: '0,1,512,1', size: '2000', stored: 'xx' },
  ].map(({ what, map, size, stored }) => ({
    what: `a sparse file with a map ${what}`,
    archive: tarArchive(
      paxHeader({ 'GNU.sparse.map': map, 'GNU.sparse.size': size }),
      tarMember({ name: 'a' }, stored),
    ),
    error: 'it has a sparse member whose map cannot be read',
  })),
  ...[
    { what: 'is no number', map: 'one\n'.padEnd(512, '0') },
    { what: 'has a line without end', map: '1'.repeat(1024) },
  ].map(({ what, map }) => ({
    what: `a sparse file whose map ${what}`,
    archive: tarArchive(
      paxHeader({ 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '9' }),
      tarMember({ name: 'a' }, map),
    ),
    error: 'it has a sparse member whose map cannot be read',
  })),
  {
    what: 'a sparse file that ends within its map',
    archive: tarArchive(
      paxHeader({ 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '9' }),
      tarMember({ name: 'a' }, '999\n'.padEnd(512, '1\n')),
    ),
    error: 'it has a sparse member that ends within its map',
  },
])('$what is an error', ({ archive, error }) => {
  expect(readTar(archive).error).toBe(error)
})

test('the same is read of an archive that comes in two pieces, cut at any byte', () => {
  const whole = readTar(small)
  expect(whole.members.map(({ name }) => name)).toEqual(['PG_VERSION', 'base/', 'base/\u00c3\u00a4'])
  for (let at = 0; at <= small.length; at++) {
    expect(readTar(small, (bytes) => [bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole)
  }
})

test('the same is read of an archive that comes byte by byte', () => {
  expect(readTar(small, (bytes) => [...bytes].map((byte) => Buffer.of(byte)))).toEqual(readTar(small))
})

test('every archive that ends too early is an error, wherever it ends', () => {
  for (let length = 0; length < small.length; length++) {
    const { error, members } = readTar(small.subarray(0, length))
    expect(error, `${length} bytes`).toMatch(/^it (?:is empty|ends )/)
    // What was told as whole is whole.
    const whole = members.filter(({ content }) => content !== undefined)
    expect(whole).toEqual(
      readTar(small).members.filter(({ name }) => whole.some((member) => member.name === name)),
    )
  }
})

test('whatever bytes are changed, cut or put in, the reader ends, with an error or without', () => {
  const position = fc.nat({ max: small.length })
  const change = fc.oneof(
    fc.record({ at: position, drop: fc.constant(1), put: fc.uint8Array({ minLength: 1, maxLength: 1 }) }),
    fc.record({ at: position, drop: fc.nat({ max: 600 }), put: fc.uint8Array({ maxLength: 12 }) }),
    fc.record({ at: position, drop: fc.constant(0), put: fc.constant(new Uint8Array(512)) }),
  )
  fc.assert(
    fc.property(
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 700 }),
      (changes, piece) => {
        let archive: Buffer = small
        for (const { at, drop, put } of changes) {
          archive = Buffer.concat([archive.subarray(0, at), put, archive.subarray(at + drop)])
        }
        // Without right checksums, nearly every change would end in the same error.
        for (let at = 0; at + 512 <= archive.length; at += 512) {
          if (archive.includes('ustar', at + 250) && at % 1024 === 0)
            sealHeader(archive.subarray(at, at + 512))
        }
        const pieces = (bytes: Buffer): Buffer[] =>
          Array.from({ length: Math.ceil(bytes.length / piece) }, (_, index) =>
            bytes.subarray(index * piece, (index + 1) * piece),
          )
        const reading = readTar(archive, pieces)
        expect(reading).toEqual(readTar(archive))
        const told = reading.members.reduce((sum, { content = '' }) => sum + content.length, 0)
        expect(told).toBeLessThanOrEqual(archive.length)
      },
    ),
    { numRuns: 2000 },
  )
})

describe('an archive by GNU tar', () => {
  let scratch: ScratchDirectory
  const names = ['PG_VERSION', `base/${'n'.repeat(200)}`, `${'d/'.repeat(120)}deep`, '\u00e4\u00f6\u00fc']

  beforeEach(async () => {
    scratch = createScratchDirectory()
    for (const [index, name] of names.entries()) {
      const path = join(scratch.path, 'in', name)
      await mkdir(dirname(path), { recursive: true })
      writeFileSync(path, 'x'.repeat(index * 400))
    }
    await symlink('nowhere', join(scratch.path, 'in/link'))
  })

  const sparseWays = [
    ['--format=gnu'],
    ['--format=oldgnu'],
    ...['0.0', '0.1', '1.0'].map((version) => ['--format=pax', `--sparse-version=${version}`]),
  ]

  test.each(sparseWays)('with sparse files is read, holes and all (%s %s)', async (...options) => {
    const block = 4096
    const holes: Readonly<Record<string, readonly number[]>> = {
      // Blocks with bytes; `end` of the file is one behind the last, or in the middle of it.
      'a-hole-first': [3],
      'a-hole-last': [0, 9],
      [`${'deep/'.repeat(30)}many-holes`]: Array.from({ length: 70 }, (_, index) => 3 * index),
      'no-hole': [0],
      'only-a-hole': [],
    }
    for (const [name, blocks] of Object.entries(holes)) {
      const path = join(scratch.path, 'in', name)
      await mkdir(dirname(path), { recursive: true })
      const descriptor = openSync(path, 'w')
      for (const at of blocks)
        writeSync(descriptor, Buffer.alloc(block, `block ${at} `), 0, block, at * block)
      ftruncateSync(descriptor, ((blocks.at(-1) ?? 5) + 1) * block + (name === 'a-hole-last' ? 50_001 : 0))
      closeSync(descriptor)
    }
    const archive = join(scratch.path, 'out.tar')
    const names = Object.keys(holes)
    await mustRun('tar', [...options, '--sparse', '-cf', archive, '-C', join(scratch.path, 'in'), ...names])
    const bytes = readFileSync(archive)
    // The fault must have fired: less is stored than the files have.
    expect(bytes.length).toBeLessThan(names.length * 100_000)
    expect(bytes.includes('GNU.sparse') || bytes.includes('S\0', 156)).toBe(true)
    const wanted = names.map((name) => file(name, readFileSync(join(scratch.path, 'in', name), 'latin1')))
    for (const piece of [bytes.length, 512, 333]) {
      const reading = readTar(bytes, (all) =>
        Array.from({ length: Math.ceil(all.length / piece) }, (_, index) =>
          all.subarray(index * piece, (index + 1) * piece),
        ),
      )
      expect(reading).toEqual({ members: wanted })
    }
  })

  afterEach(() => scratch.remove())

  test.each(['gnu', 'oldgnu', 'pax', 'posix', 'ustar', 'v7'])('in format %s is read', async (format) => {
    const short = names.filter((name) => name.length < 100)
    const wanted =
      format === 'v7' ? short : format === 'ustar' ? names.filter((name) => !name.includes('nnn')) : names
    const archive = join(scratch.path, 'out.tar')
    const args = [`--format=${format}`, '-cf', archive, '-C', join(scratch.path, 'in'), 'link', ...wanted]
    await mustRun('tar', args)
    const bytes = readFileSync(archive)
    expect(bytes.subarray(-tarEnd.length)).toEqual(tarEnd)
    const { members, error } = readTar(bytes)
    expect(error).toBeUndefined()
    expect(members).toEqual([
      { name: 'link', isFile: false, size: 0 },
      ...wanted.map((name) =>
        file(Buffer.from(name).toString('latin1'), readFileSync(join(scratch.path, 'in', name), 'latin1')),
      ),
    ])
  })
})
