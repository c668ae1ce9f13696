import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatLsn } from '../../../src/postgres/lsn.js'
import { walSegmentName } from '../../../src/postgres/wal-segment.js'
import { type RealWal, realWal, realWalSegmentSize as size } from '../../helpers/real-wal.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { runProgram } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { loadWal, type MemoryWal, readSerially } from './memory-wal.js'

const page = 8192

interface Row {
  readonly name: string
  /** Changes the bytes, or says where the range is. */
  readonly damage: (wal: Damaged) => void
  /** Why we find something where pg_waldump does not. */
  readonly stricter?: string
  readonly isGood?: boolean
}

/** What a row may change. */
interface Damaged {
  readonly bytes: Buffer
  /** Offsets of the records. */
  readonly records: readonly number[]
  /** The index of the record that is larger than two segments. */
  readonly large: number
  /** The offset of the first page that is empty behind a SWITCH. */
  readonly empty: number
  start: number
  end: number
}

const flip = (bytes: Buffer, at: number): void => {
  bytes[at] = (bytes[at] ?? 0) ^ 1
}

/** The first page behind the start whose first record is the rest of one from the page before. */
const continuation = ({ bytes, start }: Damaged): number => {
  let at = Math.ceil(start / page) * page
  while ((bytes.readUInt16LE(at + 2) & 1) === 0) at += page
  return at
}

const rows: readonly Row[] = [
  { name: 'nothing', damage: () => {}, isGood: true },
  { name: 'padding of a page', damage: ({ bytes }) => flip(bytes, size + 20), isGood: true },
  { name: 'a bit of the CRC', damage: ({ bytes, records }) => flip(bytes, (records[500] ?? 0) + 20) },
  { name: 'a bit of the length', damage: ({ bytes, records }) => flip(bytes, records[500] ?? 0) },
  { name: 'a bit of the link', damage: ({ bytes, records }) => flip(bytes, (records[500] ?? 0) + 9) },
  {
    name: 'the resource manager',
    damage: ({ bytes, records }) => bytes.fill(50, (records[500] ?? 0) + 17, (records[500] ?? 0) + 18),
  },
  { name: 'a bit of a body', damage: ({ bytes, records }) => flip(bytes, (records[500] ?? 0) + 30) },
  {
    name: 'a length of 4 GiB',
    damage: ({ bytes, records }) => bytes.writeUInt32LE(0xffff_ffff, records[500] ?? 0),
  },
  {
    name: 'zeros in place of a record',
    damage: ({ bytes, records }) => bytes.fill(0, records[500], (records[500] ?? 0) + 24),
  },
  { name: 'the first record', damage: ({ bytes, records }) => flip(bytes, (records[0] ?? 0) + 25) },
  { name: 'the last record', damage: ({ bytes, records }) => flip(bytes, (records.at(-1) ?? 0) + 25) },
  {
    name: 'the large record, in its last segment',
    damage: ({ bytes, records, large }) => flip(bytes, (records[large] ?? 0) + 2 * size),
  },
  { name: 'the magic of a page', damage: ({ bytes }) => flip(bytes, size + page) },
  { name: 'the flags of a page', damage: ({ bytes }) => flip(bytes, size + page + 3) },
  { name: 'the address of a page', damage: ({ bytes }) => flip(bytes, size + page + 10) },
  { name: 'the flag of a continued record', damage: (wal) => flip(wal.bytes, continuation(wal) + 2) },
  { name: 'the length of a continued record', damage: (wal) => flip(wal.bytes, continuation(wal) + 16) },
  { name: 'a page zeroed', damage: ({ bytes }) => bytes.fill(0, size + 5 * page, size + 6 * page) },
  {
    name: 'a page taken from elsewhere',
    damage: ({ bytes }) => bytes.copy(bytes, size + 5 * page, size + 7 * page, size + 8 * page),
  },
  { name: 'the segment size', damage: ({ bytes }) => flip(bytes, 2 * size + 34) },
  { name: 'the page size', damage: ({ bytes }) => flip(bytes, 2 * size + 37) },
  {
    name: 'the end beyond the WAL',
    damage: (wal) => {
      wal.bytes.fill(0, wal.end)
      wal.end += 100
    },
  },
  {
    name: 'the end before the start',
    damage: (wal) => {
      wal.end = wal.start - 8
    },
  },
  {
    name: 'the system identifier',
    damage: ({ bytes }) => flip(bytes, 2 * size + 24),
    stricter: 'a server does not take a segment of another cluster',
  },
  {
    name: 'the timeline of the last page',
    damage: ({ bytes, end }) => bytes.writeUInt32LE(7, end - (end % page) + 4),
    stricter: 'no page is of a newer timeline than its segment',
  },
  {
    name: 'the length of a continued record where none is',
    damage: (wal) => {
      let at = Math.ceil(wal.start / page) * page
      while ((wal.bytes.readUInt16LE(at + 2) & 1) === 1) at += page
      wal.bytes.writeUInt32LE(8, at + 16)
    },
    stricter: 'servers write 0 there',
  },
  {
    name: 'a page that is left empty',
    damage: ({ bytes, empty }) => flip(bytes, empty),
    stricter: 'servers write zeros there',
  },
  {
    name: 'the start in the middle of a record',
    damage: (wal) => {
      wal.start += 8
    },
    stricter: 'pg_waldump goes on with the next record',
  },
  {
    name: 'the end in the middle of a record',
    damage: (wal) => {
      wal.end -= 8
    },
    stricter: 'pg_waldump does not look at the last record then',
  },
  {
    name: 'a header of a page before the start',
    damage: ({ bytes }) => flip(bytes, page + 10),
    stricter: 'the segment is not as the server wrote it',
  },
]

describeWithDebianPostgres('our verdict is that of pg_waldump on', (programs) => {
  let listed: RealWal
  let scratch: ScratchDirectory

  beforeAll(async () => {
    listed = await realWal(programs)
    scratch = createScratchDirectory()
  }, 240_000)

  afterAll(() => scratch.remove())

  test.each(rows)('damage of $name', async ({ damage, stricter, isGood }) => {
    const wal = await loadWal(listed)
    const records = listed.records.map(({ lsn }) => Number(lsn - wal.baseLsn))
    const damaged: Damaged = {
      bytes: wal.bytes,
      records,
      large: listed.records.findIndex(({ length }) => length > 2 * size),
      empty: findEmptyPage(wal.bytes),
      start: Number(listed.startLsn - wal.baseLsn),
      end: Number(listed.endLsn - wal.baseLsn),
    }
    damage(damaged)
    const startLsn = wal.baseLsn + BigInt(damaged.start)
    const endLsn = wal.baseLsn + BigInt(damaged.end)
    const theirs = await isGoodForThem(wal, startLsn, endLsn)
    const run = { ...wal.run, startLsn, lastSegment: (endLsn - 1n) / BigInt(size) }
    const ours = readSerially({ ...wal, run, expected: { ...wal.expected, endLsn } })
    expect({ theirs, ours: ours.fault === undefined }).toEqual({
      theirs: isGood === true || stricter !== undefined,
      ours: isGood === true,
    })
  })

  async function isGoodForThem(wal: MemoryWal, startLsn: bigint, endLsn: bigint): Promise<boolean> {
    for (let segment = wal.run.firstSegment; segment <= wal.run.lastSegment; segment++) {
      const start = Number(segment - wal.firstSegment) * size
      const file = join(scratch.path, walSegmentName(1, segment, size))
      await writeFile(file, wal.bytes.subarray(start, start + size))
    }
    const range = [`--start=${formatLsn(startLsn)}`, `--end=${formatLsn(endLsn)}`]
    const program = programs.path('pg_waldump') ?? 'pg_waldump'
    const { status } = await runProgram(program, ['--quiet', `--path=${scratch.path}`, ...range])
    return status === 0
  }
})

function findEmptyPage(bytes: Buffer): number {
  for (let at = 0; at < bytes.length; at += page) {
    if (bytes.readUInt16LE(at) === 0) return at
  }
  throw new Error('the WAL has no empty page')
}
