import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatLsn } from '../../../src/postgres/lsn.js'
import { findWalFormat } from '../../../src/postgres/versions.js'
import { WalWalker } from '../../../src/postgres/wal/wal-walker.js'
import { mainData, WalWriter, type WrittenFormat, type WrittenRecord } from './wal-writer.js'

const page = 8192
const segmentSize = 4 * page
/** The last segment of a stretch of 4 GiB, so that LSNs change in their upper half. */
const baseLsn = 0x5_0000_0000n - BigInt(segmentSize)

interface Walked {
  readonly records: number
  readonly fault: string | undefined
  readonly isDone: boolean
}

interface WalkOptions {
  readonly bytes?: Buffer
  readonly startLsn?: bigint
  readonly endLsn?: bigint
  /** Default: that of PostgreSQL 18. */
  readonly pageMagic?: number
  /** How many pages the walker is given at once. */
  readonly pages?: number
}

function walk(writer: WalWriter, options: WalkOptions = {}): Walked {
  const { bytes = writer.bytes, pages = 4, pageMagic = 0xd118 } = options
  const format = findWalFormat(pageMagic)
  if (format === undefined) throw new Error(`no format ${pageMagic}`)
  const walker = new WalWalker({
    format,
    timeline: writer.timeline,
    segmentSize,
    systemIdentifier: writer.systemIdentifier,
    startLsn: options.startLsn ?? writer.baseLsn,
    endLsn: options.endLsn ?? writer.endLsn,
    position: undefined,
  })
  let fault
  for (let start = 0; start < bytes.length && !walker.isDone && fault === undefined; start += segmentSize) {
    walker.beginSegment(writer.baseLsn + BigInt(start), true)
    for (let offset = 0; offset < segmentSize && fault === undefined; offset += pages * page) {
      const size = Math.min(pages * page, segmentSize - offset)
      const view = new DataView(bytes.buffer, bytes.byteOffset + start + offset, size)
      fault = walker.walk(view, offset)
    }
  }
  if (fault === undefined && walker.wantsMore) fault = walker.finish()
  const text = fault && `${fault.what} at ${formatLsn(fault.lsn)}: ${fault.reason}`
  return { records: walker.records, fault: text, isDone: walker.isDone }
}

const ofSize = (size: number): WrittenRecord => ({ body: mainData(Buffer.alloc(size, size)) })

function write(sizes: readonly number[]): WalWriter {
  const writer = new WalWriter(segmentSize, baseLsn)
  for (const size of sizes) writer.write(ofSize(size))
  return writer
}

const sizes = fc.array(
  fc.oneof(fc.nat(300), fc.nat(9000), fc.nat(3 * segmentSize), fc.integer({ min: page - 100, max: page })),
  { minLength: 1, maxLength: 20 },
)

describe('records of any size', () => {
  test('are all read, however many pages come at once', () => {
    fc.assert(
      fc.property(sizes, fc.constantFrom(1, 2, 3, 4), (sizes, pages) => {
        const writer = write(sizes)
        expect(walk(writer, { pages })).toEqual({ records: sizes.length, fault: undefined, isDone: true })
      }),
    )
  })

  test('are a range from any of them to the end of any', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), (sizes, first, last) => {
        const writer = write(sizes)
        const from = first % sizes.length
        const to = from + (last % (sizes.length - from))
        const start = writer.starts[from] ?? 0
        const next = writer.starts[to + 1] ?? writer.end
        const startLsn = writer.baseLsn + BigInt(start)
        const firstByte = start - (start % segmentSize)
        const tail = new WalWriter(segmentSize, writer.baseLsn + BigInt(firstByte))
        const bytes = writer.bytes.subarray(firstByte)
        const endLsn = writer.baseLsn + BigInt(next)
        expect(walk(tail, { bytes, startLsn, endLsn })).toEqual({
          records: to - from + 1,
          fault: undefined,
          isDone: true,
        })
      }),
    )
  })

  test.each([8, 16, 24, 32])('are read when %i bytes are left on the page', (left) => {
    const writer = write([100])
    const free = page - (writer.end % page)
    // The header and the head of long data take 29 bytes.
    writer.write(ofSize(free - left - 29))
    expect(page - (writer.end % page)).toBe(left)
    writer.write(ofSize(50))
    writer.write(ofSize(60))
    expect(walk(writer)).toEqual({ records: 4, fault: undefined, isDone: true })
  })
})

/** A writer whose last segment has only so many bytes left. */
function fillSegment(left: number): WalWriter {
  const writer = write([100])
  while (segmentSize - writer.end > page) writer.write(ofSize(2000))
  writer.write(ofSize(segmentSize - writer.end - left - 29))
  expect(writer.end).toBe(segmentSize - left)
  return writer
}

describe('a SWITCH', () => {
  test('leaves the rest of its segment empty', () => {
    const writer = write([100, 200])
    writer.writeSwitch()
    writer.write(ofSize(10))
    expect(walk(writer)).toEqual({ records: 4, fault: undefined, isDone: true })
  })

  test.each([8, 16])('that goes over the border of a segment with %i bytes empties the next one', (left) => {
    const writer = fillSegment(left)
    const before = writer.starts.length
    writer.writeSwitch()
    expect(writer.end).toBe(2 * segmentSize)
    writer.write(ofSize(10))
    expect(walk(writer)).toEqual({ records: before + 2, fault: undefined, isDone: true })
    writer.bytes[segmentSize + page] = 1
    expect(walk(writer).fault).toContain('it should be empty, after a SWITCH')
  })

  test('at the very end of a segment empties none', () => {
    const writer = fillSegment(24)
    writer.writeSwitch()
    expect(writer.end).toBe(segmentSize)
    writer.write(ofSize(10))
    expect(walk(writer)).toMatchObject({ fault: undefined, isDone: true })
  })

  test('does not jump over the end of the range', () => {
    const writer = write([100])
    const start = writer.writeSwitch()
    const endLsn = writer.baseLsn + 5000n
    expect(walk(writer, { endLsn }).fault).toBe(
      `record at ${formatLsn(writer.baseLsn + BigInt(start))}: ` +
        `it ends at ${formatLsn(writer.endLsn)}, beyond the end of the WAL range`,
    )
  })
})

/** A record of which two pages were written, then what came in its place. */
function interrupted(format?: WrittenFormat): { writer: WalWriter; overwritten: number } {
  const writer = new WalWriter(segmentSize, baseLsn, format)
  for (const size of [100, 200]) writer.write(ofSize(size))
  return { writer, overwritten: writer.writeUnfinished(ofSize(5 * page), page + 100) }
}

describe('an unfinished record', () => {
  test('is overwritten', () => {
    const { writer, overwritten } = interrupted()
    writer.writeOverwrite(overwritten)
    writer.write(ofSize(30))
    expect(walk(writer)).toEqual({ records: 4, fault: undefined, isDone: true })
  })

  test.each([0xd120, 0xd121, 0xd122])(
    'is overwritten by another bit in WAL %i of PostgreSQL 19',
    (pageMagic) => {
      const { writer, overwritten } = interrupted({ pageMagic, overwriteBit: 0x0004 })
      writer.writeOverwrite(overwritten)
      writer.write(ofSize(30))
      expect(walk(writer, { pageMagic })).toEqual({ records: 4, fault: undefined, isDone: true })
      const old = interrupted({ pageMagic, overwriteBit: 0x0008 })
      old.writer.writeOverwrite(old.overwritten)
      expect(walk(old.writer, { pageMagic }).fault).toMatch(/: invalid info bits 0008$/)
    },
  )

  test('is named by what overwrites it', () => {
    const { writer, overwritten } = interrupted()
    writer.writeOverwrite(overwritten + 8)
    expect(walk(writer).fault).toMatch(/: mismatching overwritten LSN \S+ -> \S+$/)
  })

  test('is not overwritten by just any record', () => {
    const { writer, overwritten } = interrupted()
    const start = writer.writeOverwrite(overwritten)
    const other = new WalWriter(segmentSize, baseLsn)
    other.write(ofSize(100))
    other.write(ofSize(200))
    other.writeUnfinished(ofSize(5 * page), page + 100)
    other.write(ofSize(40))
    // The page says so, the record does not.
    const bytes = other.bytes
    const at = start - (start % page)
    bytes.writeUInt16LE(8, at + 2)
    expect(walk(other, { bytes }).fault).toContain('says that it overwrites an unfinished record')
  })

  test('is not left without a word', () => {
    const { writer } = interrupted()
    writer.write(ofSize(40))
    expect(walk(writer).fault).toMatch(/there is no contrecord flag at \S+$/)
  })
})

/** What is said of this record, between two good ones. */
function faultOfSecond(record: WrittenRecord): string | undefined {
  const writer = write([100])
  writer.write(record)
  writer.write(ofSize(10))
  return walk(writer).fault?.replace(/^record at \S+: /, '')
}

describe('a record', () => {
  test('of the betas of PostgreSQL 19 may switch data checksums', () => {
    const [beta2, beta3, candidate] = [0xd120, 0xd121, 0xd122].map((pageMagic) => {
      const writer = new WalWriter(segmentSize, baseLsn, { pageMagic, overwriteBit: 0x0004 })
      writer.write(ofSize(100))
      writer.write({ body: mainData(Buffer.alloc(4)), resourceManager: 22 })
      return walk(writer, { pageMagic }).fault
    })
    expect([beta2, beta3]).toEqual([undefined, undefined])
    expect(candidate).toMatch(/: invalid resource manager ID 22$/)
  })

  test.each([
    [{ body: mainData(Buffer.alloc(3)), previousLsn: 5n }, 'record with incorrect prev-link 0/5'],
    [{ body: mainData(Buffer.alloc(3)), resourceManager: 22 }, 'invalid resource manager ID 22'],
    [{ body: mainData(Buffer.alloc(3)), resourceManager: 127 }, 'invalid resource manager ID 127'],
    [{ body: Buffer.alloc(0), totalLength: 0 }, 'invalid record length: expected at least 24, got 0'],
    [{ body: Buffer.alloc(0), totalLength: 23 }, 'invalid record length: expected at least 24, got 23'],
    [
      { body: Buffer.alloc(0), totalLength: 0xffff_ffff },
      'invalid record length: expected at most 1073741823, got 4294967295',
    ],
    [
      { body: mainData(Buffer.alloc(9)), totalLength: 34 },
      'incorrect resource manager data checksum in record',
    ],
    [{ body: Buffer.from([100]) }, 'invalid block_id 100'],
  ])('is refused with a wrong header or body: %#', (record, reason) => {
    expect(faultOfSecond(record)).toBe(reason)
  })

  test('of an extension is good', () => {
    expect(faultOfSecond({ body: mainData(Buffer.alloc(3)), resourceManager: 128 })).toBeUndefined()
  })

  test('without a body is good', () => {
    expect(faultOfSecond({ body: Buffer.alloc(0) })).toBeUndefined()
  })

  test('has a length that its pages agree with', () => {
    const writer = write([100])
    const start = writer.write(ofSize(3 * page))
    writer.bytes.writeUInt32LE(77, page + 16)
    expect(walk(writer).fault).toBe(
      `record at ${formatLsn(baseLsn + BigInt(start))}: ` +
        `invalid contrecord length 77 (expected ${24 + 5 + 3 * page - (page - start)}) at ${formatLsn(baseLsn + BigInt(page))}`,
    )
  })

  test('whose fragments have headers without an end is refused', () => {
    // Origins, three bytes each; PostgreSQL would follow them, but no server writes more than one.
    const body = Buffer.alloc(3 * 5000, 0)
    for (let at = 0; at < body.length; at += 3) body[at] = 253
    expect(faultOfSecond({ body })).toBe('record with invalid length')
  })
})

describe('pages of garbage', () => {
  test('never make the walker throw, or go on without end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: page, maxLength: page }), (garbage) => {
        const writer = write([100, 9000, 40_000])
        const bytes = Buffer.concat([garbage, writer.bytes.subarray(page)])
        const { isDone, fault } = walk(writer, { bytes })
        expect(isDone || fault !== undefined).toBe(true)
      }),
    )
  })

  test('behind a good header never make the walker throw', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 2 * page, maxLength: 2 * page }),
        fc.integer({ min: 24, max: 2 * page - 1 }),
        (garbage, from) => {
          const writer = write([100, 9000, 40_000])
          const bytes = Buffer.from(writer.bytes)
          for (let at = from; at < 2 * page; at++) {
            // The headers of the pages stay.
            if (at % page >= 40) bytes[at] = garbage[at] ?? 0
          }
          const { isDone, fault } = walk(writer, { bytes })
          expect(isDone || fault !== undefined).toBe(true)
        },
      ),
    )
  })

  test('with any length in a record, and in a page, are refused', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.boolean(), (length, isPage) => {
        const writer = write([100, 9000, 40_000, 10])
        const bytes = Buffer.from(writer.bytes)
        const at = isPage ? page + 16 : (writer.starts[1] ?? 0)
        fc.pre(bytes.readUInt32LE(at) !== length)
        bytes.writeUInt32LE(length, at)
        expect(walk(writer, { bytes }).fault).toBeDefined()
      }),
    )
  })
})
