import { execFileSync, type ExecFileSyncOptionsWithBufferEncoding } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  type Compression,
  type Decompressor,
  detectCompression,
} from '../../../src/files/compression/compression.js'
import { loadDecompressor } from '../../../src/files/compression/decompressor.js'
import { DamagedArchiveError } from '../../../src/files/damaged-archive-error.js'
import { hasCompressor } from '../../helpers/compressors.js'

/** Each is a way to call the format's own program. */
const allPrograms = [
  { compression: 'gzip', args: ['gzip', '-c'] },
  { compression: 'gzip', args: ['gzip', '-1', '-c'] },
  { compression: 'lz4', args: ['lz4', '-c'] },
  { compression: 'lz4', args: ['lz4', '-c', '-B4', '-BD', '-BX'] },
  { compression: 'lz4', args: ['lz4', '-c', '-B5', '-BD', '--no-frame-crc'] },
  { compression: 'lz4', args: ['lz4', '-9', '-c', '-B7'] },
  { compression: 'lz4', args: ['lz4', '-c', '-B32', '-BD'] },
  { compression: 'zstd', args: ['zstd', '-c'] },
  { compression: 'zstd', args: ['zstd', '-19', '-c', '--no-check'] },
] as const

const programs = allPrograms.filter(({ args: [program] }) => hasCompressor(program))
const formats = (['gzip', 'lz4', 'zstd'] as const).filter((program) => hasCompressor(program))

function compress([program, ...args]: readonly [string, ...string[]], bytes: Buffer): Buffer {
  const options: ExecFileSyncOptionsWithBufferEncoding = {
    input: bytes,
    maxBuffer: 1e9,
    stdio: ['pipe', 'pipe', 'ignore'],
  }
  return execFileSync(program, [...args, '-q'], options)
}

function compressAs(compression: (typeof formats)[number], bytes: Buffer): Buffer {
  const args = programs.find((program) => program.compression === compression)?.args ?? ['gzip']
  return compress(args, bytes)
}

function cutInto(bytes: Buffer, length: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / length) }, (_, index) =>
    bytes.subarray(index * length, (index + 1) * length),
  )
}

/** Gives all pieces in the same memory, as a reader of files does. */
function* inOneMemory(pieces: readonly Buffer[]): Generator<Buffer, void, undefined> {
  const memory = Buffer.alloc(Math.max(0, ...pieces.map(({ length }) => length)))
  for (const piece of pieces) {
    piece.copy(memory)
    yield memory.subarray(0, piece.length)
    memory.fill(0xee)
  }
}

/** Text that compresses well, and bytes that do not. */
const content = Buffer.concat([
  readFileSync(new URL('../../../package-lock.json', import.meta.url)),
  Buffer.from(Array.from({ length: 300_000 }, (_, index) => Math.imul(index, 0x9e3779b1) >>> 24)),
  Buffer.alloc(1_000_000),
])

describe.each(programs)('what $args makes', ({ compression, args }) => {
  test.each([1_000_000, 4096, 7])('is undone in pieces of %d bytes', async (length) => {
    const bytes = length < 100 ? content.subarray(0, 50_000) : content
    const decompress = await loadDecompressor(compression)
    const compressed = compress(args, bytes)
    expect(detectCompression(compressed)).toBe(compression)
    const pieces: Buffer[] = []
    for await (const piece of decompress(inOneMemory(cutInto(compressed, length)))) {
      pieces.push(Buffer.from(piece))
    }
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true)
  })
})

describe.each(formats)('%s', (compression) => {
  let decompress: Decompressor
  const hello = compressAs(compression, Buffer.from('hello'))
  const nothing = compressAs(compression, Buffer.alloc(0))

  beforeAll(async () => {
    decompress = await loadDecompressor(compression)
  })

  async function textOf(bytes: Buffer, length = 1024): Promise<string> {
    let text = ''
    for await (const piece of decompress(cutInto(bytes, length))) text += piece.toString('latin1')
    return text
  }

  test('of nothing is nothing', async () => {
    expect(await textOf(nothing)).toBe('')
  })

  test.each([1, 1024])('is undone of several frames in pieces of %d', async (length) => {
    const frames = Buffer.concat([hello, nothing, nothing, hello])
    expect(await textOf(frames, length)).toBe('hellohello')
  })

  test('is an error wherever it is cut', async () => {
    for (let length = 1; length < hello.length; length++) {
      await expect(textOf(hello.subarray(0, length)), `${length} bytes`).rejects.toThrow(DamagedArchiveError)
    }
  })

  test('is an error with something else behind it', async () => {
    await expect(textOf(Buffer.concat([hello, Buffer.from('something else')]))).rejects.toThrow(
      DamagedArchiveError,
    )
  })

  test('is an error when it is something else', async () => {
    await expect(textOf(Buffer.from('something else, and long enough'))).rejects.toThrow(DamagedArchiveError)
  })

  test('has a checksum that finds every changed bit of the content', async () => {
    for (let at = hello.length - 8; at < hello.length; at++) {
      const changed = Buffer.from(hello)
      changed[at] = (changed[at] ?? 0) ^ 0x10
      await expect(textOf(changed), `byte ${at}`).rejects.toThrow(DamagedArchiveError)
    }
  })

  test('of whatever bytes ends, as what it was or with an error', async () => {
    const large = compressAs(compression, content.subarray(0, 200_000))
    const change = fc.record({ at: fc.nat({ max: large.length - 1 }), value: fc.nat({ max: 255 }) })
    const cut = fc.integer({ min: 1, max: large.length })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 4 }), cut, async (changes, length) => {
        const changed = Buffer.from(large.subarray(0, length))
        for (const { at, value } of changes) if (at < length) changed[at] = value
        const outcome = await textOf(changed, 10_000).catch((error: unknown) => error)
        const isDamaged = outcome instanceof DamagedArchiveError
        expect(isDamaged || outcome === content.toString('latin1', 0, 200_000)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test('throws what its source throws, as it is', async () => {
    const failure = new TypeError('of the source')
    function* failing(): Generator<Buffer, void, undefined> {
      yield hello.subarray(0, 10)
      throw failure
    }
    const read = async (): Promise<void> => {
      for await (const piece of decompress(failing())) expect(piece.length).toBeGreaterThanOrEqual(0)
    }
    await expect(read()).rejects.toBe(failure)
  })

  test('reads no more of its source than what is taken of it needs, and closes it', async () => {
    const large = compressAs(compression, Buffer.alloc(200_000_000))
    let taken = 0
    let isClosed = false
    function* source(): Generator<Buffer, void, undefined> {
      try {
        for (const piece of cutInto(large, 1000)) {
          taken += piece.length
          yield piece
        }
      } finally {
        isClosed = true
      }
    }
    let bytes = 0
    for await (const piece of decompress(source())) {
      expect(piece.length).toBeLessThanOrEqual(4 * 1024 * 1024)
      bytes += piece.length
      if (bytes > 1_000_000) break
    }
    await new Promise((resolve) => setImmediate(resolve))
    expect(isClosed).toBe(true)
    // gzip's is read ahead by what fits into the buffers of a stream.
    expect(taken).toBeLessThanOrEqual(Math.max(0.1 * large.length, compression === 'gzip' ? 600_000 : 10_000))
  })
})

test.each<{ what: string; bytes: Buffer; detail: string }>([
  { what: 'a version that is not known', bytes: lz4Frame([0xe4, 0x40]), detail: 'unknown version' },
  { what: 'a flag that is not known', bytes: lz4Frame([0x66, 0x40]), detail: 'unknown flags' },
  { what: 'a dictionary', bytes: lz4Frame([0x65, 0x40, 1, 2, 3, 4]), detail: 'a dictionary is needed' },
  { what: 'a bad header checksum', bytes: lz4Frame([0x64, 0x40], 1), detail: 'bad header checksum' },
  {
    what: 'a block larger than may be',
    bytes: lz4Frame([0x60, 0x40, 0x82, 1, 0, 1, 0]),
    detail: 'a block is too large',
  },
])('an lz4 frame with $what is damaged', async ({ bytes, detail }) => {
  const decompress = await loadDecompressor('lz4')
  const read = async (): Promise<void> => {
    for await (const piece of decompress([bytes])) expect(piece.length).toBe(0)
  }
  await expect(read()).rejects.toMatchObject({ message: 'its lz4 data are damaged', detail })
})

/** A frame with the header checksum that is right for `64 40` and `60 40`, or off by some. */
function lz4Frame([flags = 0, descriptor = 0, ...rest]: readonly number[], off = 0): Buffer {
  const checksum = flags === 0x64 ? 0xa7 : 0x82
  const isKnown = flags === 0x64 || flags === 0x60
  const bytes = isKnown
    ? [(checksum + off) & 0xff, ...rest.slice(isKnown && flags === 0x60 ? 1 : 0)]
    : [...rest, 0]
  return Buffer.from([0x04, 0x22, 0x4d, 0x18, flags, descriptor, ...bytes])
}

test.runIf(hasCompressor('lz4'))('frames of lz4 that are to be skipped are skipped', async () => {
  const decompress = await loadDecompressor('lz4')
  const skipped = Buffer.from('502a4d1803000000aabbcc', 'hex')
  const bytes = Buffer.concat([skipped, compressAs('lz4', Buffer.from('hello')), skipped])
  let text = ''
  for await (const piece of decompress(cutInto(bytes, 3))) text += piece.toString()
  expect(text).toBe('hello')
})

test.each<{ bytes: Buffer; compression: Compression }>([
  { bytes: Buffer.alloc(0), compression: 'none' },
  { bytes: Buffer.from('PG_VERSION'), compression: 'none' },
  { bytes: gzipSync('x').subarray(0, 2), compression: 'gzip' },
])('the compression of $bytes is $compression', ({ bytes, compression }) => {
  expect(detectCompression(bytes)).toBe(compression)
})
