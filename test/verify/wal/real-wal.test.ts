import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import type { WalPart } from '../../../src/verify/wal/walk-part.js'
import { planParts } from '../../../src/verify/wal/plan-parts.js'
import { embeddedPostgres, otherPostgres, type PostgresPrograms } from '../../helpers/postgres-programs.js'
import { overwrittenWal, type RealWal, realWal, realWalSegmentSize } from '../../helpers/real-wal.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { coveredBits } from './covered-bytes.js'
import { loadWal, type MemoryWal, readInParts, readSerially } from './memory-wal.js'

const limit = 240_000

describeWithDebianPostgres('WAL of PostgreSQL 15', (programs) => {
  suite(() => Promise.resolve(programs))
  describe('that went on after a crash in the middle of a record', () => {
    overwrittenSuite(() => Promise.resolve(programs))
  })
})

describe('WAL of PostgreSQL 18', () => {
  suite(() => embeddedPostgres())
  describe('that went on after a crash in the middle of a record', () => {
    overwrittenSuite(() => embeddedPostgres())
  })
})

// The extension that lists records is there from 15 on. Often there are no others: then each() has no rows.
describe.each(otherPostgres().filter(({ major }) => major > 15))('WAL of PostgreSQL $major', (programs) => {
  suite(() => Promise.resolve(programs))
})

function suite(findPrograms: () => Promise<PostgresPrograms>): void {
  let listed: RealWal
  let wal: MemoryWal

  beforeAll(async () => {
    listed = await realWal(await findPrograms())
    wal = await loadWal(listed)
  }, limit)

  const flip = (byte: number, bit: number): void => {
    wal.bytes[byte] = (wal.bytes[byte] ?? 0) ^ (1 << bit)
  }

  test('has as many records as PostgreSQL lists', () => {
    expect(listed.records.length).toBeGreaterThan(10_000)
    expect(readSerially(wal)).toEqual({ records: listed.records.length, fault: undefined, touches: [] })
  })

  test('has a record that is larger than a segment', () => {
    expect(Math.max(...listed.records.map(({ length }) => length))).toBeGreaterThan(2 * realWalSegmentSize)
  })

  test('has records that may begin anywhere', async () => {
    // Every record is where one may start, and end, a range.
    for (let index = 1; index < listed.records.length; index += 501) {
      const startLsn = listed.records[index]?.lsn ?? 0n
      const run = {
        ...wal.run,
        firstSegment: startLsn / BigInt(realWalSegmentSize),
        startLsn,
      }
      const { records, fault } = await readInParts({ ...wal, run }, planParts(run, realWalSegmentSize))
      expect({ records, fault }).toEqual({
        records: listed.records.length - index,
        fault: undefined,
      })
    }
  })

  test('has records that may end anywhere', async () => {
    // The first record behind each border, so that the one before it goes over the border.
    const segmentOf = (index: number): bigint =>
      (listed.records[index]?.lsn ?? 0n) / BigInt(realWalSegmentSize)
    const borders = [...listed.records.keys()].filter(
      (index) => index > 0 && segmentOf(index) > segmentOf(index - 1),
    )
    for (const border of borders) {
      for (const index of [border, border + 1, border + 50]) {
        const endLsn = listed.records[index]?.lsn ?? listed.endLsn
        const run = { ...wal.run, lastSegment: (endLsn - 1n) / BigInt(realWalSegmentSize) }
        const shorter = { ...wal, run, expected: { ...wal.expected, endLsn } }
        const parts = planParts(run, realWalSegmentSize, realWalSegmentSize)
        expect(await readInParts(shorter, parts)).toEqual({ records: index, fault: undefined, touches: [] })
      }
    }
  })

  test(
    'is found damaged by every flipped bit that anything covers, and by no other',
    () => {
      const covered = coveredBits(listed, wal.baseLsn, wal.bytes.length)
      const from = Number(listed.startLsn - wal.baseLsn)
      const to = Number(listed.endLsn - wal.baseLsn)
      const wrong: string[] = []
      let uncovered = 0
      const flips = fc.sample(fc.tuple(fc.integer({ min: from, max: to - 1 }), fc.nat(7)), {
        numRuns: 1000,
        seed: listed.major,
      })
      for (const [byte, bit] of flips) {
        flip(byte, bit)
        const { fault } = readSerially(wal)
        flip(byte, bit)
        const isCovered = ((covered[byte] ?? 0) & (1 << bit)) !== 0
        if (!isCovered) uncovered++
        if ((fault !== undefined) !== isCovered) wrong.push(`byte ${byte}, bit ${bit}: ${fault?.reason}`)
      }
      expect(wrong).toEqual([])
      expect(uncovered).toBeLessThan(300)
    },
    limit,
  )

  test(
    'is found damaged by every flipped bit of a header of a page, but for its padding',
    () => {
      const covered = coveredBits(listed, wal.baseLsn, wal.bytes.length)
      const pages = [2, 3, realWalSegmentSize / 8192, (2 * realWalSegmentSize) / 8192 + 5]
      const firstPage = Math.ceil(Number(listed.startLsn - wal.baseLsn) / 8192)
      const wrong: string[] = []
      for (const page of pages) {
        const at = (page < firstPage ? firstPage : page) * 8192
        for (let byte = at; byte < at + 24; byte++) {
          for (let bit = 0; bit < 8; bit++) {
            flip(byte, bit)
            const { fault } = readSerially(wal)
            flip(byte, bit)
            const isCovered = ((covered[byte] ?? 0) & (1 << bit)) !== 0
            if ((fault !== undefined) !== isCovered) wrong.push(`byte ${byte}, bit ${bit}: ${fault?.reason}`)
          }
        }
      }
      expect(wrong).toEqual([])
    },
    limit,
  )

  test(
    'is the same however it is cut into parts',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }),
          fc.option(fc.tuple(fc.nat(), fc.nat(7))),
          async (cuts, damage) => {
            const byte = (damage?.[0] ?? 0) % wal.bytes.length
            if (damage !== null) flip(byte, damage[1])
            try {
              expect(await readInParts(wal, cutRun(wal, cuts))).toEqual(readSerially(wal))
            } finally {
              if (damage !== null) flip(byte, damage[1])
            }
          },
        ),
        { numRuns: 200 },
      )
    },
    limit,
  )

  test(
    'is the same however it is cut, with damage where the parts meet',
    async () => {
      const everySegment = planParts(wal.run, realWalSegmentSize, realWalSegmentSize)
      for (let border = realWalSegmentSize; border < wal.bytes.length; border += realWalSegmentSize) {
        for (const byte of [-9, -1, 0, 2, 4, 9, 16, 17, 26, 40, 44, 48, 56, 60]) {
          flip(border + byte, 0)
          expect(await readInParts(wal, everySegment)).toEqual(readSerially(wal))
          flip(border + byte, 0)
        }
      }
    },
    limit,
  )
}

/** A cut behind each segment for which that is wanted. */
function cutRun({ run }: MemoryWal, cuts: readonly boolean[]): WalPart[] {
  const parts: WalPart[] = []
  let firstSegment = run.firstSegment
  for (let segment = run.firstSegment; segment <= run.lastSegment; segment++) {
    const isCut = cuts[Number(segment - run.firstSegment) % cuts.length] === true
    if (!isCut && segment < run.lastSegment) continue
    const startLsn = firstSegment === run.firstSegment ? run.startLsn : undefined
    parts.push({
      firstSegment,
      lastSegment: segment,
      lastPresentSegment: run.lastSegment,
      startLsn,
      position: undefined,
    })
    firstSegment = segment + 1n
  }
  return parts
}

function overwrittenSuite(findPrograms: () => Promise<PostgresPrograms>): void {
  let listed: RealWal
  let wal: MemoryWal

  beforeAll(async () => {
    listed = await overwrittenWal(await findPrograms())
    wal = await loadWal(listed)
  }, limit)

  test('has as many records as PostgreSQL lists', () => {
    expect(readSerially(wal)).toEqual({ records: listed.records.length, fault: undefined, touches: [] })
  })

  test('is the same in parts', async () => {
    const parts = planParts(wal.run, realWalSegmentSize, realWalSegmentSize)
    expect(parts.length).toBeGreaterThan(1)
    expect(await readInParts(wal, parts)).toEqual(readSerially(wal))
  })
}
