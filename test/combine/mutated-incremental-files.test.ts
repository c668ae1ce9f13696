import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FileMaker, makeFile } from '../../src/combine/combine-file.js'
import { HasherPool, InputFault } from '../../src/combine/input-file.js'
import { isPbManifestError } from '../../src/errors.js'
import { incrementalFileBytes, incrementalHeaderBytes } from '../../src/postgres/incremental-file.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

const PAGE = 8192
const RUNS = 10_000
/** So that a mutated length is soon too large for it. */
const SEGMENT_PAGES = 16

let scratch: ScratchDirectory
let maker: FileMaker

beforeAll(() => {
  scratch = createScratchDirectory()
  for (const name of ['full', 'monday', 'out'])
    mkdirSync(join(scratch.path, name, 'base/5'), { recursive: true })
  maker = {
    backups: ['full', 'monday'].map((name) => ({
      directory: join(scratch.path, name),
      files: undefined,
      isCompared: false,
    })),
    target: { directory: join(scratch.path, 'out'), fileMode: 0o600 },
    algorithm: 'CRC32C',
    copyMethod: 'copy',
    segmentPages: SEGMENT_PAGES,
    pageRules: undefined,
    hashers: new HasherPool('unknown'),
    buffer: Buffer.alloc(4 * PAGE),
    scratch: Buffer.alloc(4 * PAGE),
    onBytes: () => {},
    onChunk: () => {},
    isDoomed: () => false,
  }
  writeFileSync(join(scratch.path, 'full/base/5/1'), pagesOf('f', [0, 1, 2, 3, 4, 5, 6, 7]))
})

afterAll(() => scratch.remove())

function pagesOf(letter: string, blocks: readonly number[]): Buffer {
  return Buffer.concat(blocks.map((block) => Buffer.alloc(PAGE, `${letter}${block.toString(16)}`)))
}

function incrementalFile(truncationBlockLength: number, blocks: readonly number[]): Buffer {
  const bytes = Buffer.alloc(incrementalFileBytes(blocks.length))
  bytes.writeUInt32LE(0xd3ae_1f0d, 0)
  bytes.writeUInt32LE(blocks.length, 4)
  bytes.writeUInt32LE(truncationBlockLength, 8)
  for (const [index, block] of blocks.entries()) bytes.writeUInt32LE(block, 12 + 4 * index)
  if (blocks.length > 0) pagesOf('m', blocks).copy(bytes, incrementalHeaderBytes(blocks.length))
  return bytes
}

async function combine(bytes: Buffer): Promise<Buffer> {
  writeFileSync(join(scratch.path, 'monday/base/5/INCREMENTAL.1'), bytes)
  const path = join(scratch.path, 'out/base/5/1')
  rmSync(path, { force: true })
  await makeFile(maker, 'base/5/INCREMENTAL.1')
  return readFileSync(path)
}

test('an intact one is combined', async () => {
  const made = await combine(incrementalFile(9, [1, 4, 10]))
  const expected = Buffer.concat([
    pagesOf('f', [0]),
    pagesOf('m', [1]),
    pagesOf('f', [2, 3]),
    pagesOf('m', [4]),
    pagesOf('f', [5, 6, 7]),
    Buffer.alloc(2 * PAGE),
    pagesOf('m', [10]),
  ])
  expect(made.equals(expected)).toBe(true)
})

test(`${RUNS} mutated ones are refused, or give what they say, and none crashes or takes for ever`, async () => {
  const random = randomNumbers(20_261_128)
  let refused = 0
  for (let run = 0; run < RUNS; run++) {
    const blocks = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].filter(() => random(3) === 0)
    let bytes = incrementalFile(random(12), blocks)
    for (let change = random(3); change >= 0; change--) {
      // Most of them in what is read as numbers.
      const at = random(Math.min(bytes.length, 12 + 4 * blocks.length + 4))
      switch (random(4)) {
        case 0:
          bytes.writeUInt8(random(256), at)
          break
        case 1:
          bytes.writeUInt32LE(random(20), Math.min(at - (at % 4), Math.max(0, bytes.length - 4)))
          break
        case 2:
          bytes = bytes.subarray(0, random(bytes.length + 1))
          if (bytes.length < 4) bytes = Buffer.alloc(4)
          break
        default:
          bytes = Buffer.concat([bytes, Buffer.alloc(random(2 * PAGE))])
      }
    }
    const outcome = await combine(bytes).catch((error: unknown) => error)
    const isRefusal = outcome instanceof InputFault || isPbManifestError(outcome)
    if (isRefusal) refused++
    const isExplained = isRefusal && /incremental|bytes|block|INCREMENTAL/.test(outcome.message)
    // Anything else that was thrown is no bytes.
    expect(isExplained || lengthOf(outcome) === lengthStatedBy(bytes)).toBe(true)
  }
  expect(refused).toBeGreaterThan(RUNS / 4)
  expect(refused).toBeLessThan(RUNS)
}, 360_000)

function lengthOf(made: unknown): unknown {
  return Buffer.isBuffer(made) ? made.length : made
}

function lengthStatedBy(bytes: Buffer): number {
  const listed = Array.from({ length: bytes.readUInt32LE(4) }, (_, index) =>
    bytes.readUInt32LE(12 + 4 * index),
  )
  return Math.max(bytes.readUInt32LE(8), ...listed.map((block) => block + 1)) * PAGE
}

/** The same numbers in each run: from 0 to below the limit. */
function randomNumbers(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}
