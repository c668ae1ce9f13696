import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isPbManifestError } from '../../src/errors.js'
import { formatManifestFile, formatManifestHeader } from '../../src/manifest/manifest-parts.js'
import { ManifestParser } from '../../src/manifest/manifest-parser.js'
import type { ManifestFile } from '../../src/manifest/model.js'
import { ServerLayoutReader, toManifestFile } from '../../src/manifest/server-layout.js'

const file: ManifestFile = {
  pathname: 'base/5/1259',
  size: 114688,
  lastModified: '2026-11-22 21:34:22 GMT',
  checksum: { algorithm: 'CRC32C', hex: 'ab12cd34' },
  isPathEncoded: false,
}
const line = formatManifestFile(file)

function readLayout(
  text: string,
  isFirst = true,
): { readonly files: ManifestFile[]; readonly length: number } {
  const files: ManifestFile[] = []
  const reader = new ServerLayoutReader((entry) => files.push(toManifestFile(entry)))
  return { length: reader.read(Buffer.from(text, 'latin1'), isFirst), files }
}

test('reads entries that follow each other, and stops before what is not one', () => {
  const entries = `\n${line},\n${line}`
  expect(readLayout(`${entries}\n],`)).toEqual({ files: [file, file], length: entries.length })
  expect(readLayout(`,\n${line}`, false)).toEqual({ files: [file], length: line.length + 2 })
})

test('knows a time as a server writes it from all others', () => {
  const { lastModified = '' } = file
  // Beside the digits, what differs from one in half of its bits.
  const bytes = Buffer.from(`/09:!)*?@Pp -GMT\u00b5`, 'latin1')
  for (let at = 0; at < lastModified.length; at++) {
    for (const byte of bytes.toString('latin1')) {
      const time = lastModified.slice(0, at) + byte + lastModified.slice(at + 1)
      const expected = /^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT$/.test(time)
      const known: boolean[] = []
      const reader = new ServerLayoutReader(({ hasServerTime }) => known.push(hasServerTime))
      reader.read(Buffer.from(`\n${line.replace(lastModified, () => time)}`, 'latin1'), true)
      expect({ time, known }).toEqual({ time, known: byte === '\u00b5' ? [] : [expected] })
    }
  }
})

test.each([
  ['SHA224', 56],
  ['SHA256', 64],
  ['SHA384', 96],
  ['SHA512', 128],
] as const)('reads %s', (algorithm, length) => {
  const other = { ...file, checksum: { algorithm, hex: '0f'.repeat(length / 2) } }
  expect(readLayout(`\n${formatManifestFile(other)}`).files).toEqual([other])
})

test('reads an entry without a checksum', () => {
  const other = { ...file, checksum: undefined }
  expect(readLayout(`\n${formatManifestFile(other)}`).files).toEqual([other])
})

describe('leaves to the full parser', () => {
  test.each([
    ['a name with an escape', line.replace('1259', '12\\n59')],
    ['a name that is not ASCII', line.replace('1259', '12\u00e9')],
    ['a component that begins with a dot', line.replace('/5/', '/../')],
    ['an absolute name', line.replace('base', '/base')],
    ['an empty component', line.replace('/5/', '//')],
    ['a name that ends in a slash', line.replace('1259', '')],
    ['an empty name', line.replace('base/5/1259', '')],
    ['a size of 16 digits', line.replace('114688', '1234567890123456')],
    ['a padded size', line.replace('114688', '0114688')],
    ['no size', line.replace('114688', '')],
    ['upper-case hexadecimal', line.replace('ab12', 'AB12')],
    ['a checksum that is too long', line.replace('ab12', '00ab12')],
    ['another spelling', line.replace('"Size": ', '"Size":')],
    ['a cut entry', line.slice(0, -1)],
  ])('%s', (_, text) => {
    expect(readLayout(`\n${text}`)).toEqual({ files: [], length: 0 })
  })
})

interface Outcome {
  readonly files: readonly ManifestFile[]
  readonly error: string | undefined
}

/** Without the end: the manifest's own checksum would hide every other difference. */
function parse(chunks: readonly Buffer[]): Outcome {
  const files: ManifestFile[] = []
  const parser = new ManifestParser({ file: (each) => files.push(each), walRange: () => {} })
  try {
    for (const chunk of chunks) parser.write(chunk)
    return { files, error: undefined }
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    return { files, error: error.message }
  }
}

const entries = [
  line,
  formatManifestFile({ ...file, pathname: 'global/pg_control' }),
  formatManifestFile({ ...file, pathname: 'extra/caf\u00e9 "x"' }),
  formatManifestFile({ ...file, pathname: '.hidden', checksum: undefined }),
]
const text = Buffer.from(
  `${formatManifestHeader({ version: 1, systemIdentifier: undefined })}\n${entries.join(',\n')}\n],\n"WAL-Ranges": [`,
)

test('makes no difference to files or errors, whatever byte is changed', () => {
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.nat(255), fc.boolean(), (at, byte, isRemoved) => {
      const changed = Buffer.from(text)
      changed[at] = byte
      const input = isRemoved ? Buffer.concat([text.subarray(0, at), text.subarray(at + 1)]) : changed
      // Byte by byte, no entry is ever whole, so that the full parser reads all of it.
      const slowly = parse(Array.from(input, (each) => Buffer.of(each)))
      expect(parse([input])).toEqual(slowly)
    }),
    { numRuns: 3000 },
  )
})
