import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { formatLsn } from '../../../src/postgres/lsn.js'
import { walSegmentName } from '../../../src/postgres/wal-segment.js'
import { listWalSegments } from '../../../src/verify/wal/file-wal-source.js'
import { wholeRun } from '../../../src/verify/wal/plan-parts.js'
import type { PartFault } from '../../../src/verify/wal/walk-part.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { type RealWal, realWal, realWalSegmentSize as size } from '../../helpers/real-wal.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { makeFifo } from '../damage.js'
import { loadWal, type MemoryWal, readPart, readSerially } from './memory-wal.js'

const page = 8192

let listed: RealWal
let original: MemoryWal
/** Of PostgreSQL 18; each test may damage it. */
let wal: MemoryWal

beforeAll(async () => {
  listed = await realWal(await embeddedPostgres())
  original = await loadWal(listed)
}, 240_000)

beforeEach(async () => {
  wal = await loadWal(listed)
})

const lsn = (offset: number): string => formatLsn(wal.baseLsn + BigInt(offset))

function explain(fault: PartFault | undefined): string | undefined {
  return fault && `${fault.what} at ${formatLsn(fault.lsn)}: ${fault.reason}`
}

function read(changes: Partial<MemoryWal['expected']> = {}): string | undefined {
  const expected = { ...wal.expected, ...changes }
  return explain(readSerially({ ...wal, expected }).fault)
}

/** Where the rest of a segment is left empty behind a SWITCH: the offset of its first empty page. */
function firstEmptyPage(): number {
  for (let at = 0; at < wal.bytes.length; at += page) {
    if (wal.bytes.readUInt16LE(at) === 0) return at
  }
  throw new Error('the WAL has no empty page')
}

test('WAL is good as the server wrote it', () => {
  expect(read()).toBeUndefined()
})

test('WAL is good when its system identifier is not known', () => {
  expect(read({ systemIdentifier: undefined })).toBeUndefined()
})

test('what lies behind the end of the range may be anything', () => {
  const end = Number(listed.endLsn - wal.baseLsn)
  wal.bytes.fill(0xff, end)
  expect(read()).toBeUndefined()
})

describe('the first page of a segment', () => {
  test('has the system identifier of its cluster', () => {
    const { systemIdentifier } = listed
    expect(read({ systemIdentifier: systemIdentifier ^ 1n })).toBe(
      `page at ${lsn(0)}: WAL file is from different database system: ` +
        `its system identifier is ${systemIdentifier}, not ${systemIdentifier ^ 1n}`,
    )
  })

  test.each([0, 1, 3])('of segment %i is checked', (segment) => {
    const at = segment * size
    wal.bytes.writeBigUInt64LE(1n, at + 24)
    expect(read()).toContain(`page at ${lsn(at)}: WAL file is from different database system`)
  })

  test.each([
    { what: 'magic', at: 0, bytes: '06d1', fault: 'invalid magic number D106' },
    { what: 'info bits', at: 2, bytes: '0280', fault: 'invalid info bits 8000' },
    { what: 'timeline', at: 4, bytes: '02', fault: 'timeline 2, but the segment is of timeline 1' },
    { what: 'timeline', at: 4, bytes: '00', fault: 'timeline 0, but the segment is of timeline 1' },
    { what: 'address', at: 8, bytes: '0000010000000000', fault: 'unexpected page address 0/10000' },
    {
      what: 'long header',
      at: 2,
      bytes: '00',
      fault: 'the first page of a segment must have a long header',
    },
    {
      what: 'segment size',
      at: 32,
      bytes: '00000001',
      fault: "segment size 16777216, but the cluster's is 1048576",
    },
    { what: 'page size', at: 36, bytes: '00100000', fault: 'page size 4096, but should be 8192' },
    { what: 'content at all', at: 0, bytes: '00'.repeat(40), fault: 'invalid magic number 0000' },
  ])('has its $what', ({ at, bytes, fault }) => {
    wal.bytes.write(bytes, at, 'hex')
    expect(read()).toBe(`page at ${lsn(0)}: ${fault}`)
  })
})

describe('a page', () => {
  test('before the start of the range has its header', () => {
    expect(listed.startLsn - wal.baseLsn).toBeGreaterThan(page)
    wal.bytes.writeBigUInt64LE(0n, page + 8)
    expect(read()).toBe(`page at ${lsn(page)}: unexpected page address 0/0`)
  })

  test('is not of an older timeline than the one before', () => {
    const last = Math.floor(Number(listed.endLsn - wal.baseLsn) / page) * page
    wal.bytes.writeUInt32LE(2, last - page + 4)
    expect(read({ timeline: 2 })).toBe(`page at ${lsn(last)}: timeline 1 after timeline 2`)
  })

  test('may be of an older timeline than its segment, as in the first segment of a new one', () => {
    const last = Math.floor(Number(listed.endLsn - wal.baseLsn) / page) * page
    wal.bytes.writeUInt32LE(2, last + 4)
    expect(read({ timeline: 2 })).toBeUndefined()
  })

  test('is empty behind a SWITCH', () => {
    const at = firstEmptyPage() + page
    wal.bytes.copy(wal.bytes, at, page, page + 24)
    expect(read()).toBe(`page at ${lsn(at)}: it should be empty, after a SWITCH`)
  })

  test('is not empty where records are due', () => {
    const at = size + 3 * page
    wal.bytes.fill(0, at, at + page)
    expect(read()).toBe(`page at ${lsn(at)}: invalid magic number 0000`)
  })
})

describe('a range', () => {
  test('begins with a record', () => {
    const startLsn = listed.startLsn + 8n
    const { fault } = readSerially({ ...wal, run: { ...wal.run, startLsn } })
    expect(explain(fault)).toBe(`record at ${formatLsn(startLsn)}: no record begins there`)
  })

  test('does not begin in the middle of a record that is larger than a segment', () => {
    const large = listed.records.find(({ length }) => length > 2 * size)
    const startLsn = (large?.lsn ?? 0n) + BigInt(size)
    const run = { ...wal.run, firstSegment: startLsn / BigInt(size), startLsn }
    const { fault } = readSerially({ ...wal, run })
    expect(explain(fault)).toBe(`record at ${formatLsn(startLsn)}: no record begins there`)
  })

  test('ends with a record', () => {
    const [last] = listed.records.slice(-1)
    const lastLsn = formatLsn(last?.lsn ?? 0n)
    expect(read({ endLsn: listed.endLsn - 8n })).toBe(
      `record at ${lastLsn}: it ends at ${formatLsn(listed.endLsn)}, beyond the end of the WAL range`,
    )
  })

  test('does not end in the middle of a record that goes over pages', () => {
    const large = listed.records.find(({ length }) => length > 2 * size)
    const start = formatLsn(large?.lsn ?? 0n)
    const endLsn = (large?.lsn ?? 0n) + BigInt(size)
    const run = { ...wal.run, lastSegment: endLsn / BigInt(size) }
    const { fault } = readSerially({ ...wal, run, expected: { ...wal.expected, endLsn } })
    expect(explain(fault)).toBe(`record at ${start}: it goes on beyond the end of the WAL range`)
  })

  test('does not end with the segment in the middle of a record', () => {
    const large = listed.records.find(({ length }) => length > 2 * size)
    const start = formatLsn(large?.lsn ?? 0n)
    const lastSegment = (large?.lsn ?? 0n) / BigInt(size) + 1n
    const endLsn = (lastSegment + 1n) * BigInt(size)
    const run = { ...wal.run, lastSegment }
    const { fault } = readSerially({ ...wal, run, expected: { ...wal.expected, endLsn } })
    expect(explain(fault)).toBe(`record at ${start}: it goes on beyond the end of the WAL range`)
  })

  test('does not go on where the WAL does not', () => {
    const end = Number(listed.endLsn - wal.baseLsn)
    wal.bytes.fill(0, end)
    expect(read({ endLsn: listed.endLsn + 100n })).toBe(
      `record at ${formatLsn(listed.endLsn)}: invalid record length: expected at least 24, got 0`,
    )
  })
})

describe('a segment as a file', () => {
  let scratch: ScratchDirectory
  let path: string

  beforeEach(async () => {
    scratch = createScratchDirectory()
    path = join(scratch.path, walSegmentName(1, wal.firstSegment, size))
    for (let segment = wal.run.firstSegment; segment <= wal.run.lastSegment; segment++) {
      const start = Number(segment - wal.firstSegment) * size
      const file = join(scratch.path, walSegmentName(1, segment, size))
      if (segment > wal.firstSegment) await writeFile(file, wal.bytes.subarray(start, start + size))
    }
  })

  afterEach(() => scratch.remove())

  const readFiles = (): string | undefined => {
    const source = listWalSegments([scratch.path], false)
    return explain(readPart({ ...original, source }, wholeRun(original.run)).fault)
  }

  test('is read', async () => {
    await writeFile(path, wal.bytes.subarray(0, size))
    expect(readFiles()).toBeUndefined()
  })

  test.each([0, 1, page - 1, page, size - 1, size + 1])('does not have %i bytes', async (length) => {
    await writeFile(path, wal.bytes.subarray(0, size))
    await truncate(path, length)
    expect(readFiles()).toBe(`segment at ${lsn(0)}: it has ${length} bytes, but should have ${size}`)
  })

  test.each([
    ['a directory', (at: string) => mkdir(at), 'is not a regular file'],
    ['a FIFO', makeFifo, 'is not a regular file'],
    ['a link to nowhere', (at: string) => symlink('nowhere', at), 'No such file or directory'],
    ['a link to itself', (at: string) => symlink(at, at), 'Too many levels of symbolic links'],
  ])('is not %s', async (_, make, reason) => {
    await make(path)
    expect(readFiles()).toBe(`segment at ${lsn(0)}: ${reason}`)
  })
})
