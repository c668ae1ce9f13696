import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { IncrementalPages, readIncrementalHeader } from '../../src/combine/incremental-source.js'
import { HasherPool, type InputBackup, InputFile } from '../../src/combine/input-file.js'
import { createFileHasher } from '../../src/manifest/checksum/create-file-hasher.js'
import { incrementalFileBytes, incrementalHeaderBytes } from '../../src/postgres/incremental-file.js'
import { FileFinder } from '../../src/verify/file-table/pathname-index.js'
import { FileTable } from '../../src/verify/file-table/file-table.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

const PAGE = 8192
const PATHNAME = 'base/5/INCREMENTAL.1'
const BLOCKS = Array.from({ length: 50 }, (_, index) => 3 * index)

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

function pageOf(block: number): Buffer {
  return Buffer.alloc(PAGE, `block ${block} `)
}

async function inputOf(isCompared: boolean): Promise<InputFile> {
  const bytes = Buffer.alloc(incrementalFileBytes(BLOCKS.length))
  bytes.writeUInt32LE(0xd3ae_1f0d, 0)
  bytes.writeUInt32LE(BLOCKS.length, 4)
  bytes.writeUInt32LE(200, 8)
  const headerBytes = incrementalHeaderBytes(BLOCKS.length)
  for (const [index, block] of BLOCKS.entries()) {
    bytes.writeUInt32LE(block, 12 + 4 * index)
    pageOf(block).copy(bytes, headerBytes + index * PAGE)
  }
  mkdirSync(join(scratch.path, 'base/5'), { recursive: true })
  writeFileSync(join(scratch.path, PATHNAME), bytes)
  const hasher = await createFileHasher('CRC32C', 'unknown')
  hasher.reset()
  hasher.update(bytes)
  const table = new FileTable(1000)
  table.add({
    pathname: PATHNAME,
    size: bytes.length,
    lastModified: '2026-11-28 12:00:00 GMT',
    checksum: { algorithm: 'CRC32C', hex: hasher.digest() },
    isPathEncoded: false,
  })
  const files = new FileFinder(table.buffers, table.indexBuffers)
  const backups: InputBackup[] = [{ directory: scratch.path, files, isCompared }]
  const input = await InputFile.open(backups, 0, PATHNAME, new HasherPool('unknown'), () => {})
  if (input === undefined) throw new Error('it is there')
  return input
}

describe.each([
  { what: 'that is compared with its manifest', isCompared: true },
  { what: 'of which only some pages are read', isCompared: false },
])('pages of an incremental file $what', ({ isCompared }) => {
  // As many as a piece of the result takes; the last of them take more than are left in a piece that was read.
  test.each([[[1, 2, 16, 1, 13, 16, 1]], [[16, 16, 16, 2]], [Array.from({ length: 50 }, () => 1)]])(
    'come in their order, %j at a time',
    async (counts) => {
      const input = await inputOf(isCompared)
      const pages = new IncrementalPages(readIncrementalHeader(input, 131_072))
      let next = 0
      for (const count of counts) {
        const bytes = pages.read(count)
        const expected = Buffer.concat(BLOCKS.slice(next, next + count).map(pageOf))
        expect(bytes.equals(expected)).toBe(true)
        next += count
      }
      expect(next).toBe(BLOCKS.length)
      // It was read from its start to its end without a gap, so its checksum is right.
      input.finish(Buffer.alloc(2 * PAGE), () => {})
      input.close(new HasherPool('unknown'))
    },
  )
})

test('pages that nobody needs are passed over', async () => {
  const input = await inputOf(false)
  const pages = new IncrementalPages(readIncrementalHeader(input, 131_072))
  pages.skip(20)
  expect(pages.upTo(66)).toEqual(Uint32Array.of(60, 63))
  expect(pages.read(2).equals(Buffer.concat([pageOf(60), pageOf(63)]))).toBe(true)
  pages.skip(27)
  expect(pages.read(1).equals(pageOf(147))).toBe(true)
  input.close(new HasherPool('unknown'))
})
