import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checksumLength } from '../../../src/manifest/checksum/checksum-algorithm.js'
import { crc32cEngines } from '../../../src/manifest/checksum/crc32c-engines.js'
import { createFileHasher } from '../../../src/manifest/checksum/create-file-hasher.js'
import type { FileHasher } from '../../../src/manifest/checksum/file-hasher.js'
import { crc32c } from '../../../src/postgres/crc32c.js'

/** Whether the hasher finds the checksum in the midst of other bytes, and says it of any that has another bit. */
function findsChecksum(hasher: FileHasher, text: string, hex: string): boolean {
  const other = (bytes: Buffer): string | undefined => {
    hasher.reset()
    hasher.update(Buffer.from(text))
    return hasher.findOther(bytes, 5)
  }
  const right = Buffer.from(`0102030405${hex}0607`, 'hex')
  const wrong = Array.from({ length: hex.length * 4 }, (_, bit) => {
    const bytes = Buffer.from(right)
    bytes.writeUInt8(bytes.readUInt8(5 + (bit >> 3)) ^ (1 << (bit & 7)), 5 + (bit >> 3))
    return bytes
  })
  return other(right) === undefined && wrong.every((bytes) => other(bytes) === hex)
}

/** Bytes, and where they are cut. */
const arbitraryChunks = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 })

function digestOf(hasher: FileHasher, chunks: readonly Uint8Array[]): string {
  hasher.reset()
  for (const chunk of chunks) hasher.update(chunk)
  return hasher.digest()
}

const golden = [
  ['nothing', '', '00000000'],
  ['PG_VERSION of 15', '15\n', '8a744722'],
  ['PG_VERSION of 18', '18\n', '994e7be2'],
  ['the check value', '123456789', '839206e3'],
] as const

describe('CRC-32C', () => {
  test('comes from the fastest engine first', () => {
    expect(crc32cEngines.map((engine) => engine.name)).toEqual(['aws-crt', '@node-rs/crc32', 'hash-wasm'])
  })

  describe.each(crc32cEngines)('of $name', (engine) => {
    test.each(golden)('of %s is what a manifest has', async (_, text, hex) => {
      expect(digestOf(await engine.createHasher(), [Buffer.from(text)])).toBe(hex)
    })

    test.each(golden)('of %s is found among the bytes of a table', async (_, text, hex) => {
      expect(findsChecksum(await engine.createHasher(), text, hex)).toBe(true)
    })

    test('of a page-sized file of one pattern is the same in pieces', async () => {
      const bytes = Buffer.alloc(8 * 8192, 'pattern')
      const hasher = await engine.createHasher()
      const pieces = Array.from({ length: 64 }, (_, index) =>
        bytes.subarray(1024 * index, 1024 * (index + 1)),
      )
      expect(digestOf(hasher, pieces)).toBe(digestOf(hasher, [bytes]))
    })

    test('of two hashers at once do not mix', async () => {
      const [one, other] = [await engine.createHasher(), await engine.createHasher()]
      one.reset()
      other.reset()
      one.update(Buffer.from('15'))
      other.update(Buffer.from('18'))
      one.update(Buffer.from('\n'))
      other.update(Buffer.from('\n'))
      expect([one.digest(), other.digest()]).toEqual(['8a744722', '994e7be2'])
    })
  })

  test('is the same by every engine, however the bytes are cut', async () => {
    const hashers = await Promise.all(crc32cEngines.map((engine) => engine.createHasher()))
    fc.assert(
      fc.property(arbitraryChunks, (chunks) => {
        const expected = Buffer.alloc(4)
        expected.writeUInt32LE(crc32c(Buffer.concat(chunks)))
        for (const hasher of hashers) expect(digestOf(hasher, chunks)).toBe(expected.toString('hex'))
      }),
    )
  })
})

describe.each(['SHA224', 'SHA256', 'SHA384', 'SHA512'] as const)('%s', (algorithm) => {
  test('is found among the bytes of a table', async () => {
    const hex = createHash(algorithm).update('text').digest('hex')
    expect(findsChecksum(await createFileHasher(algorithm), 'text', hex)).toBe(true)
  })

  test('is what node:crypto has, however the bytes are cut', async () => {
    const hasher = await createFileHasher(algorithm)
    fc.assert(
      fc.property(arbitraryChunks, (chunks) => {
        const hex = digestOf(hasher, chunks)
        expect(hex).toBe(createHash(algorithm.toLowerCase()).update(Buffer.concat(chunks)).digest('hex'))
        expect(hex).toHaveLength(2 * checksumLength(algorithm))
      }),
    )
  })
})
