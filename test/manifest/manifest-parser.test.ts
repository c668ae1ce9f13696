import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ManifestParser } from '../../src/manifest/manifest-parser.js'
import {
  fileEntry,
  manifestBody,
  manifestText,
  rangeEntry,
  versionLine,
  versionLine2,
  withChecksum,
} from './manifest-text.js'
import { parseBytes, refusal } from './parse-bytes.js'
import { goodManifests, refusedManifests } from './refused-manifests.js'

const versionFile = {
  pathname: 'PG_VERSION',
  size: 3,
  lastModified: '2026-01-02 03:04:05 GMT',
  checksum: { algorithm: 'CRC32C', hex: '8a744722' },
  isPathEncoded: false,
}

/** Of the golden manifest of version 1. */
const goldenChecksum = 'b8c124c29f21edc71eaaff0ae2be8fe65d2f21d37b9c062c5382ab2584d5f95b'

const walRange = { timeline: 1, startLsn: 0x2000028n, endLsn: 0x2000100n }

/** The parts of a file's entry that a test is not about are left out. */
function parseFile(fields: string | Buffer): unknown {
  const entry = Buffer.concat([Buffer.from('{ '), Buffer.from(fields), Buffer.from(' }')])
  const [before = '', after = ''] = manifestBody({ files: ['@'] }).split('@')
  const body = Buffer.concat([Buffer.from(before), entry, Buffer.from(after)])
  return parseBytes(withChecksum(body)).files[0]
}

describe('a good manifest', () => {
  test('of version 1 is read', () => {
    expect(manifestBody()).toHaveLength(280)
    expect(parseBytes(manifestText())).toEqual({
      version: 1,
      systemIdentifier: undefined,
      files: [versionFile],
      walRanges: [walRange],
      checksum: goldenChecksum,
    })
  })

  test('of version 2 is read', () => {
    const checksum = '3cdbd199a11a4c701d5a7fb93759b0c386d8d783d3ec046f8d5663711f2aa080'
    const files = [fileEntry.replace('8a744722', '994e7be2')]
    expect(manifestBody({ head: versionLine2, files })).toHaveLength(322)
    expect(parseBytes(manifestText({ head: versionLine2, files }))).toEqual({
      version: 2,
      systemIdentifier: 7711113546893945671n,
      files: [{ ...versionFile, checksum: { algorithm: 'CRC32C', hex: '994e7be2' } }],
      walRanges: [walRange],
      checksum,
    })
  })

  test.each(goodManifests)('with $name is the same in chunks of any size', ({ bytes }) => {
    const manifest = parseBytes(bytes)
    for (const size of [1, 2, 3, 7, 64]) expect(parseBytes(bytes, size)).toEqual(manifest)
  })

  test('keeps the largest system identifier exact', () => {
    const head = versionLine2.replace('7711113546893945671', '18446744073709551615')
    expect(parseBytes(manifestText({ head })).systemIdentifier).toBe(18446744073709551615n)
  })

  test('tells files and WAL ranges in their order', () => {
    const told: string[] = []
    const parser = new ManifestParser({
      file: (file) => told.push(file.pathname),
      walRange: (range) => told.push(`timeline ${range.timeline}`),
    })
    const files = ['b', 'a', 'c'].map((name) => fileEntry.replace('PG_VERSION', name))
    const ranges = [rangeEntry.replace(': 1,', ': 2,'), rangeEntry]
    parser.write(manifestText({ files, ranges }))
    expect(told).toEqual(['b', 'a', 'c', 'timeline 2', 'timeline 1'])
  })

  test('of 5 MB has all its files, though they stand on one line', () => {
    const files = Array.from({ length: 37_000 }, (_, index) =>
      fileEntry.replace('PG_VERSION', `base/5/${index}`),
    )
    const bytes = withChecksum(`${manifestBody({ files }).replaceAll('\n', '')}\n`)
    expect(bytes.length).toBeGreaterThan(5_000_000)
    for (const size of [bytes.length, 65_536]) {
      expect(parseBytes(bytes, size).files.at(-1)).toEqual({ ...versionFile, pathname: 'base/5/36999' })
    }
  })
})

describe.each(Object.entries(refusedManifests))('refuses %s', (_, rows) => {
  test.each(rows)('$name', ({ bytes, message }) => {
    expect(refusal(bytes)).toBe(`BAD_MANIFEST: ${message}`)
  })

  test.each(rows)('$name, byte by byte', ({ bytes, message }) => {
    expect(refusal(bytes, 1)).toBe(`BAD_MANIFEST: ${message}`)
  })
})

/** What PostgreSQL's parser lets pass and we do not, because it could hide damage. */
const refusedLeniencies: readonly {
  readonly name: string
  readonly bytes: Buffer
  readonly message: string
}[] = [
  ...['" 3"', '"+3"', '"03"', '""', '-1', '"-1"'].map((size) => ({
    name: `size ${size}`,
    bytes: manifestText({ files: [fileEntry.replace(': 3,', `: ${size},`)] }),
    message: 'could not parse backup manifest: file size is not an integer',
  })),
  ...['9007199254740992', '18446744073709551616'].map((size) => ({
    name: `size ${size}`,
    bytes: manifestText({ files: [fileEntry.replace(': 3,', `: ${size},`)] }),
    message: `could not parse backup manifest: file size is out of range: ${size} for file "PG_VERSION"`,
  })),
  ...['0', '4294967296', '4294967297'].map((timeline) => ({
    name: `timeline ${timeline}`,
    bytes: manifestText({ ranges: [rangeEntry.replace(': 1,', `: ${timeline},`)] }),
    message: `could not parse backup manifest: timeline is out of range: ${timeline}`,
  })),
  {
    name: 'timeline -1',
    bytes: manifestText({ ranges: [rangeEntry.replace(': 1,', ': -1,')] }),
    message: 'could not parse backup manifest: timeline is not an integer',
  },
  ...[' 0/2000028', '0x0/2000028', '0/2000028zz', '0/000002000028', '-0/2000028'].map((lsn) => ({
    name: `start LSN "${lsn}"`,
    bytes: manifestText({ ranges: [rangeEntry.replace('0/2000028', lsn)] }),
    message: 'could not parse backup manifest: could not parse start LSN',
  })),
  {
    name: 'end LSN with junk behind it',
    bytes: manifestText({ ranges: [rangeEntry.replace('0/2000100', '0/2000100 and more')] }),
    message: 'could not parse backup manifest: could not parse end LSN',
  },
  {
    name: 'a key twice in a file',
    bytes: manifestText({ files: [fileEntry.replace('"Size": 3', '"Size": 3, "Size": 4')] }),
    message: 'could not parse backup manifest: duplicate field "Size"',
  },
  {
    name: 'a key twice in a WAL range',
    bytes: manifestText({ ranges: [rangeEntry.replace('{ ', '{ "Timeline": 2, ')] }),
    message: 'could not parse backup manifest: duplicate field "Timeline"',
  },
  {
    name: 'two lists of files',
    bytes: withChecksum(`${manifestBody()}"Files": [],\n`),
    message: 'could not parse backup manifest: duplicate top-level field "Files"',
  },
  {
    name: 'two lists of WAL ranges',
    bytes: withChecksum(`${manifestBody()}"WAL-Ranges": [],\n`),
    message: 'could not parse backup manifest: duplicate top-level field "WAL-Ranges"',
  },
  {
    name: 'two system identifiers',
    bytes: manifestText({ head: `${versionLine2}"System-Identifier": 1,\n` }),
    message: 'could not parse backup manifest: duplicate top-level field "System-Identifier"',
  },
  {
    name: 'no list of files',
    bytes: withChecksum(`${versionLine}"WAL-Ranges": [\n${rangeEntry}\n],\n`),
    message: 'could not parse backup manifest: missing file list',
  },
  {
    name: 'version 2 without system identifier',
    bytes: manifestText({ head: versionLine.replace('1', '2') }),
    message: 'could not parse backup manifest: missing system identifier',
  },
  ...[
    { path: '', reason: 'empty path name' },
    { path: '/etc/passwd', reason: 'absolute path name' },
    { path: '..', reason: 'path name leaves the data directory' },
    { path: '../x', reason: 'path name leaves the data directory' },
    { path: 'base/../../x', reason: 'path name leaves the data directory' },
    { path: 'base/..', reason: 'path name leaves the data directory' },
    { path: '.', reason: 'path name is not in its shortest form' },
    { path: './x', reason: 'path name is not in its shortest form' },
    { path: 'base/./x', reason: 'path name is not in its shortest form' },
    { path: 'base//x', reason: 'path name is not in its shortest form' },
    { path: 'base/', reason: 'path name is not in its shortest form' },
  ].flatMap(({ path, reason }) => [
    {
      name: `path "${path}"`,
      bytes: manifestText({ files: [fileEntry.replace('PG_VERSION', path)] }),
      message: `could not parse backup manifest: ${reason}: "${path}"`,
    },
    {
      name: `path "${path}", encoded`,
      bytes: manifestText({
        files: [
          fileEntry.replace('"Path": "PG_VERSION"', `"Encoded-Path": "${Buffer.from(path).toString('hex')}"`),
        ],
      }),
      message: `could not parse backup manifest: ${reason}: "${path}"`,
    },
  ]),
  {
    name: 'an encoded path with a null byte',
    bytes: manifestText({ files: ['{ "Encoded-Path": "660067", "Size": 3 }'] }),
    message: String.raw`could not parse backup manifest: path name contains a null byte: "f\x00g"`,
  },
  {
    name: 'an algorithm without checksum',
    bytes: manifestText({ files: [fileEntry.replace(', "Checksum": "8a744722"', '')] }),
    message: 'could not parse backup manifest: checksum algorithm without checksum for file "PG_VERSION"',
  },
  ...['00', ''].map((hex) => ({
    name: `checksum "${hex}" of algorithm NONE`,
    bytes: manifestText({ files: [fileEntry.replace('CRC32C', 'NONE').replace('8a744722', hex)] }),
    message: 'could not parse backup manifest: checksum for algorithm "NONE" of file "PG_VERSION"',
  })),
  ...[
    ['CRC32C', 4],
    ['SHA224', 28],
    ['SHA256', 32],
    ['SHA384', 48],
    ['SHA512', 64],
  ].flatMap(([algorithm, length]) =>
    [0, Number(length) - 1, Number(length) + 1].map((other) => ({
      name: `a checksum of ${other} bytes for ${algorithm}`,
      bytes: manifestText({
        files: [
          `{ "Path": "f", "Size": 3, "Checksum-Algorithm": "${algorithm}", "Checksum": "${'ab'.repeat(other)}" }`,
        ],
      }),
      message: `file "f" has checksum of length ${other}, but expected ${length}`,
    })),
  ),
  {
    name: "the manifest's own checksum in upper case",
    bytes: Buffer.from(manifestText().toString().replace(goldenChecksum, goldenChecksum.toUpperCase())),
    message: `invalid manifest checksum: "${goldenChecksum.toUpperCase()}"`,
  },
  {
    name: 'the list of files on the line of the checksum',
    bytes: unprotected(),
    message: 'could not parse backup manifest: manifest checksum does not stand on a line of its own',
  },
]

/** Only the first line is under the checksum. */
function unprotected(): Buffer {
  const [, line = ''] = withChecksum(versionLine).toString().split('\n')
  return Buffer.from(`${versionLine}"Files": [${fileEntry}], ${line}\n`)
}

describe('of what PostgreSQL lets pass, refuses', () => {
  test.each(refusedLeniencies)('$name', ({ bytes, message }) => {
    expect(refusal(bytes)).toBe(`BAD_MANIFEST: ${message}`)
    expect(refusal(bytes, 1)).toBe(`BAD_MANIFEST: ${message}`)
  })
})

/** What PostgreSQL's parser lets pass and can hide nothing. */
const acceptedLeniencies: readonly {
  readonly name: string
  readonly bytes: Buffer
  readonly read: object
}[] = [
  {
    name: 'a version in quotes',
    bytes: manifestText({ head: versionLine.replace('1', '"1"') }),
    read: { version: 1 },
  },
  {
    name: 'a system identifier in quotes',
    bytes: manifestText({ head: versionLine2.replace('7711113546893945671', '"7711113546893945671"') }),
    read: { systemIdentifier: 7711113546893945671n },
  },
  {
    name: 'a system identifier after the lists',
    bytes: withChecksum(
      `${manifestBody({ head: versionLine.replace('1', '2') })}"System-Identifier": 7711113546893945671,\n`,
    ),
    read: { version: 2, systemIdentifier: 7711113546893945671n },
  },
  {
    name: 'WAL ranges before files',
    bytes: withChecksum(`${versionLine}"WAL-Ranges": [\n${rangeEntry}\n],\n"Files": [\n${fileEntry}\n],\n`),
    read: { files: [versionFile], walRanges: [walRange] },
  },
  {
    name: 'a WAL range that ends before it starts',
    bytes: manifestText({ ranges: [rangeEntry.replace('0/2000100', '0/1')] }),
    read: { walRanges: [{ ...walRange, endLsn: 1n }] },
  },
  {
    name: 'a timeline in quotes',
    bytes: manifestText({ ranges: [rangeEntry.replace(': 1,', ': "1",')] }),
    read: { walRanges: [walRange] },
  },
  {
    name: 'LSNs in lower case, with zeros before them',
    bytes: manifestText({
      ranges: ['{ "Timeline": 4294967295, "Start-LSN": "0/02000028", "End-LSN": "ffffffff/ffffffff" }'],
    }),
    read: { walRanges: [{ timeline: 4294967295, startLsn: 0x2000028n, endLsn: 2n ** 64n - 1n }] },
  },
]

const acceptedFields: readonly { readonly name: string; readonly fields: string; readonly read: object }[] = [
  { name: 'a size in quotes', fields: '"Path": "f", "Size": "3"', read: { size: 3 } },
  {
    name: 'the largest size',
    fields: '"Path": "f", "Size": 9007199254740991',
    read: { size: Number.MAX_SAFE_INTEGER },
  },
  { name: 'a number for a path', fields: '"Path": 5, "Size": 3', read: { pathname: '5' } },
  { name: 'a null for a path', fields: '"Path": null, "Size": 3', read: { pathname: 'null' } },
  { name: 'no time', fields: '"Path": "f", "Size": 3', read: { lastModified: undefined } },
  {
    name: 'any scalar for a time',
    fields: '"Path": "f", "Size": 3, "Last-Modified": false',
    read: { lastModified: 'false' },
  },
  { name: 'keys in any order', fields: '"Size": 3, "Path": "f"', read: { pathname: 'f', size: 3 } },
  {
    name: 'an algorithm in lower case',
    fields: '"Path": "f", "Size": 3, "Checksum-Algorithm": "crc32c", "Checksum": "8a744722"',
    read: versionFile.checksum && { checksum: versionFile.checksum },
  },
  {
    name: 'a checksum in upper case',
    fields: '"Path": "f", "Size": 3, "Checksum-Algorithm": "CRC32C", "Checksum": "8A74ABCD"',
    read: { checksum: { algorithm: 'CRC32C', hex: '8a74abcd' } },
  },
  {
    name: 'algorithm NONE without checksum',
    fields: '"Path": "f", "Size": 3, "Checksum-Algorithm": "none"',
    read: { checksum: undefined },
  },
  {
    name: 'an encoded path in upper case',
    fields: '"Encoded-Path": "6A", "Size": 3',
    read: { pathname: 'j', isPathEncoded: true },
  },
  { name: 'names that only begin with dots', fields: '"Path": "...", "Size": 3', read: { pathname: '...' } },
]

describe('of what PostgreSQL lets pass, takes', () => {
  test.each(acceptedLeniencies)('$name', ({ bytes, read }) => {
    expect(parseBytes(bytes)).toMatchObject(read)
    expect(parseBytes(bytes, 1)).toMatchObject(read)
  })

  test.each(acceptedFields)('$name', ({ fields, read }) => {
    expect(parseFile(fields)).toMatchObject(read)
  })
})

describe('white space', () => {
  test.each([
    ['none', ''],
    ['CRLF', '\r\n'],
    ['tabs', '\t'],
    ['all kinds of it', ' \t\r\n \n\n'],
  ])('%s between any two tokens says nothing', (_, space) => {
    const tokens = manifestBody({ head: versionLine2 }).match(/"[^"]*"|[0-9]+|[^\s"0-9]/g) ?? []
    const text = `${space}${tokens.join(space)}\n${['"Manifest-Checksum"', ':', ''].join(space)}`
    const covered = text.slice(0, text.lastIndexOf('\n') + 1)
    const own = createHash('sha256').update(covered).digest('hex')
    const { checksum: _one, ...manifest } = parseBytes(Buffer.from(`${text}"${own}"}\n`))
    const { checksum: _other, ...expected } = parseBytes(manifestText({ head: versionLine2 }))
    expect(manifest).toEqual(expected)
  })

  test.each(['\u00a0', '\v', '\f', '\0', '\u2028'])('%j is none', (space) => {
    const head = `${versionLine}${space}`
    expect(refusal(manifestText({ head }))).toMatch(
      /^BAD_MANIFEST: could not parse backup manifest: Token "[^]*" is invalid\.$/,
    )
  })
})

describe('a damaged manifest is noticed', () => {
  const files = [
    fileEntry,
    '{ "Encoded-Path": "66ff", "Size": 0, "Last-Modified": "2026-01-02 03:04:05 GMT" }',
  ]
  const bytes = manifestText({ head: versionLine2, files })

  test('wherever it is cut', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(refusal(bytes.subarray(0, length)), `cut at ${length}`).toMatch(/^BAD_MANIFEST: /)
    }
    expect(parseBytes(bytes)).toMatchObject({ version: 2 })
  })

  test('whichever bit is flipped', () => {
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const damaged = Buffer.from(bytes)
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(refusal(damaged), `bit ${bit & 7} of byte ${bit >> 3}`).toMatch(/^BAD_MANIFEST: /)
    }
  })

  test('whichever byte is left out of what the checksum covers', () => {
    const covered = manifestBody({ head: versionLine2, files }).length
    for (let at = 0; at < covered; at++) {
      const damaged = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])
      expect(refusal(damaged), `byte ${at}`).toMatch(/^BAD_MANIFEST: /)
    }
  })
})

describe('pathnames', () => {
  const invalid = Buffer.from([0x61, 0xff, 0xc0, 0xaf, 0xed, 0xa0, 0x80, 0x62])

  test('keep bytes that are not UTF-8, written raw or encoded', () => {
    const raw = Buffer.concat([Buffer.from('"Path": "'), invalid, Buffer.from('", "Size": 3')])
    const encoded = `"Encoded-Path": "${invalid.toString('hex')}", "Size": 3`
    const pathname = 'a\udcff\udcc0\udcaf\udced\udca0\udc80b'
    expect(parseFile(raw)).toMatchObject({ pathname, isPathEncoded: false })
    expect(parseFile(encoded)).toMatchObject({ pathname, isPathEncoded: true })
  })

  test('keep bytes that are not UTF-8 beside an escape', () => {
    const raw = Buffer.concat([Buffer.from('"Path": "'), invalid, Buffer.from(String.raw`\n", "Size": 3`)])
    expect(parseFile(raw)).toMatchObject({ pathname: 'a\udcff\udcc0\udcaf\udced\udca0\udc80b\n' })
  })

  test('are made of escapes as JSON has them', () => {
    const fields = String.raw`"Path": "\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\udc18\uFFFD", "Size": 3`
    expect(parseFile(fields)).toMatchObject({ pathname: '"\\/\b\f\n\r\tAé🐘\ufffd' })
  })
})

describe('a token', () => {
  const mebibyte = 1024 * 1024
  const message = 'BAD_MANIFEST: could not parse backup manifest: A token is longer than 1048576 bytes.'

  test.each([
    ['string', (length: number) => `"${'x'.repeat(length - 2)}"`],
    ['number', (length: number) => '1'.repeat(length)],
  ])('%s of more than a mebibyte is refused, one of a mebibyte is not', (_, token) => {
    for (const length of [mebibyte, mebibyte + 1, 2 * mebibyte]) {
      const bytes = manifestText({
        files: [`{ "Path": "f", "Size": 3, "Last-Modified": ${token(length)} }`],
      })
      const expected = length > mebibyte ? message : 'read'
      for (const size of [bytes.length, 65_536, 1_000_003]) {
        const outcome = refusal(bytes, size)
        expect(typeof outcome === 'string' ? outcome : 'read', `${length} bytes, ${size} at a time`).toBe(
          expected,
        )
      }
    }
  })

  test('without an end does not fill the memory', () => {
    const parser = new ManifestParser({ file: () => {}, walRange: () => {} })
    parser.write(Buffer.from(`${versionLine}"Files": [{ "Path": "`))
    const chunk = Buffer.alloc(256 * 1024, 'x')
    expect(() => {
      for (let count = 0; count < 6; count++) parser.write(chunk)
    }).toThrow('A token is longer than 1048576 bytes.')
  })
})
