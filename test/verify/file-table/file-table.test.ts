import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodePathname } from '../../../src/files/pathname.js'
import type { RealChecksumAlgorithm } from '../../../src/manifest/checksum/checksum-algorithm.js'
import type { ManifestFile } from '../../../src/manifest/model.js'
import { FileRows } from '../../../src/verify/file-table/file-rows.js'
import { FileTable } from '../../../src/verify/file-table/file-table.js'

const hexLengths: Readonly<Record<RealChecksumAlgorithm, number>> = {
  CRC32C: 8,
  SHA224: 56,
  SHA256: 64,
  SHA384: 96,
  SHA512: 128,
}

const checksum = fc
  .constantFrom(...(Object.keys(hexLengths) as RealChecksumAlgorithm[]))
  .chain((algorithm) =>
    fc
      .uint8Array({ minLength: hexLengths[algorithm] / 2, maxLength: hexLengths[algorithm] / 2 })
      .map((bytes) => ({ algorithm, hex: Buffer.from(bytes).toString('hex') })),
  )

const manifestFile: fc.Arbitrary<ManifestFile> = fc.record({
  // All bytes, so that many names are not UTF-8.
  pathname: fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => decodePathname(Buffer.from(bytes))),
  size: fc.maxSafeNat(),
  lastModified: fc.constant(undefined),
  checksum: fc.option(checksum, { nil: undefined }),
  isPathEncoded: fc.boolean(),
})

const files = fc.uniqueArray(manifestFile, { selector: (file) => file.pathname, maxLength: 300 })

test('gives back what was added, in every thread, and finds each row by its pathname', () => {
  fc.assert(
    fc.property(files, (added) => {
      const table = new FileTable(100_000)
      for (const file of added) expect(table.add(file)).toBe(true)
      const elsewhere = new FileRows(table.buffers)
      for (const [row, file] of added.entries()) {
        expect(table.find(file.pathname)).toBe(row)
        expect(table.pathname(row)).toBe(file.pathname)
        expect(elsewhere.size(row)).toBe(file.size)
        expect(elsewhere.algorithm(row)).toBe(file.checksum?.algorithm)
        expect(elsewhere.checksum(row)).toBe(file.checksum?.hex ?? '')
      }
      expect(table.rows).toBe(added.length)
    }),
  )
})

const plain = { size: 1, lastModified: undefined, checksum: undefined, isPathEncoded: false }

test('refuses a pathname that is there already, and does not find one that is not', () => {
  const table = new FileTable(1000)
  expect(table.add({ ...plain, pathname: 'base/1' })).toBe(true)
  expect(table.add({ ...plain, pathname: 'base/1' })).toBe(false)
  expect(table.find('base/2')).toBe(-1)
  expect(table.find('x'.repeat(100_000))).toBe(-1)
})

test('keeps finding all rows when there are many more than expected', () => {
  const table = new FileTable(2_000_000)
  for (let row = 0; row < 100_000; row++) table.add({ ...plain, pathname: `b/${row}` })
  for (let row = 0; row < 100_000; row += 997) expect(table.find(`b/${row}`)).toBe(row)
})

test('refuses rows that a manifest of this size cannot hold', () => {
  const table = new FileTable(100)
  expect(() => table.add({ ...plain, pathname: 'x'.repeat(200) })).toThrow(
    'the manifest grew while it was read',
  )
})

test.each(['', 'base/5', 'bäse/ü', 'b\udcffse', 'x'.repeat(3000)])(
  'finds names below directory %j',
  (directory) => {
    const table = new FileTable(100_000)
    const names = ['16384', 'ä', '\udcfe', 'y'.repeat(3000)]
    const rowOf = (name: string): number => table.findBelow(directory, name)
    for (const name of names) {
      const pathname = directory === '' ? name : `${directory}/${name}`
      table.add({ pathname, size: 1, lastModified: undefined, checksum: undefined, isPathEncoded: false })
    }
    expect([...names, '16385', ''].map(rowOf)).toEqual([0, 1, 2, 3, -1, -1])
    expect(table.findBelow('another', '16384')).toBe(-1)
    expect(names.map(rowOf)).toEqual([0, 1, 2, 3])
  },
)
