import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32, gunzipSync } from 'node:zlib'
import { assert, asyncProperty, property, uint8Array } from 'fast-check'
import { array, integer } from 'fast-check'
import { expect, test } from 'vitest'
import { combineCrc32, loadPieceCompressor } from '../../../src/files/compression/piece-compressor.js'
import { loadDecompressor } from '../../../src/files/compression/decompressor.js'
import { hasCompressor } from '../../helpers/compressors.js'
import { runProgram } from '../../helpers/run-program.js'
import { useScratch } from '../../manifest/use-scratch.js'

const scratch = useScratch()

type Method = 'none' | 'gzip' | 'lz4' | 'zstd'

/** As an archive has them: one after the other. */
async function compress(method: Method, pieces: readonly Buffer[], level?: number): Promise<Buffer> {
  const compressor = await loadPieceCompressor({ method, level })
  const parts: Uint8Array[] = [compressor.begin]
  let soFar = { bytes: 0, crc32: 0 }
  for (const compressed of await Promise.all(pieces.map((piece) => compressor.compress(piece))))
    parts.push(compressed)
  for (const piece of pieces) soFar = compressor.add(soFar, piece)
  parts.push(compressor.end(soFar))
  return Buffer.concat(parts)
}

async function decompress(method: Method, bytes: Buffer): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of (await loadDecompressor(method))([bytes])) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

const large = [Buffer.alloc(1024 * 1024, 'abc '), randomBytes(300_000), Buffer.alloc(1024)]

test.each([
  { method: 'none', program: 'cat' },
  { method: 'gzip', program: 'gzip' },
  { method: 'lz4', program: 'lz4' },
  { method: 'zstd', program: 'zstd' },
] as const)('$method: pieces are one stream to us, and to the program', async ({ method, program }) => {
  const bytes = await compress(method, large)
  expect((await decompress(method, bytes)).equals(Buffer.concat(large))).toBe(true)
  if (!hasCompressor(program)) return
  const path = join(scratch.path, 'compressed')
  writeFileSync(path, bytes)
  const { status } = await runProgram('sh', [
    '-c',
    `${program} ${program === 'cat' ? '' : '-dc'} < "$1" > "$1.out"`,
    'sh',
    path,
  ])
  expect(status).toBe(0)
  const { stdout } = await runProgram('sha256sum', [`${path}.out`])
  writeFileSync(path, Buffer.concat(large))
  expect(stdout.slice(0, 64)).toBe((await runProgram('sha256sum', [path])).stdout.slice(0, 64))
})

test('gzip has one member, at whose end pg_verifybackup 18 would stand still', async () => {
  const bytes = await compress('gzip', large)
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc32(Buffer.concat(large)), 0)
  trailer.writeUInt32LE(Buffer.concat(large).length, 4)
  expect(bytes.subarray(-8).equals(trailer)).toBe(true)
})

test.each([
  ['gzip', 1, 9],
  ['zstd', 1, 19],
] as const)('%s: a higher level makes less of it', async (method, low, high) => {
  const text = Buffer.from(Array.from({ length: 20_000 }, (_item, index) => `${index * 7919}\n`).join(''))
  const [more, less] = [await compress(method, [text], low), await compress(method, [text], high)]
  expect(less.length).toBeLessThan(more.length)
  expect((await decompress(method, less)).equals(text)).toBe(true)
})

test('nothing is a whole archive of gzip, too', async () => {
  expect(gunzipSync(await compress('gzip', []))).toHaveLength(0)
})

test('the CRC-32 of two stretches is that of both together', () => {
  assert(
    property(uint8Array({ maxLength: 3000 }), uint8Array({ maxLength: 3000 }), (one, other) => {
      const together = crc32(Buffer.concat([one, other]))
      expect(combineCrc32(crc32(one), crc32(other), other.length)).toBe(together)
    }),
  )
})

test('any pieces of gzip are what they were', async () => {
  await assert(
    asyncProperty(array(integer({ min: 1, max: 5000 }), { maxLength: 6 }), async (sizes) => {
      const pieces = sizes.map((size) => Buffer.alloc(size, `${size}`))
      expect(gunzipSync(await compress('gzip', pieces)).equals(Buffer.concat(pieces))).toBe(true)
    }),
    { numRuns: 30 },
  )
})
