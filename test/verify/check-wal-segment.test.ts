import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { WayGiver } from '../../src/files/give-way.js'
import { parseControlFile } from '../../src/postgres/control-file.js'
import { walPageMagics } from '../../src/postgres/wal-page-magics.js'
import { parseWalSegmentName } from '../../src/postgres/wal-segment.js'
import { checkWalSegment, type ExpectedSegment } from '../../src/verify/check-wal-segment.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { walSegments } from './damage.js'

const size = 1024 * 1024
const page = 8192

describeWithDebianPostgres('a WAL segment of PostgreSQL 15', (programs) => {
  let scratch: ScratchDirectory
  let original: Buffer
  let segment: ExpectedSegment
  let bytes: Buffer

  beforeAll(async () => {
    scratch = createScratchDirectory()
    const { directory } = await realBackup(programs)
    const [name = ''] = await walSegments(await realBackup(programs))
    const { systemIdentifier } = parseControlFile(
      await readFile(join(directory, 'global/pg_control')),
      'pg_control',
    )
    const { timeline, segmentNumber } = parseWalSegmentName(name, size) ?? { timeline: 0, segmentNumber: 0n }
    const startLsn = segmentNumber * BigInt(size)
    original = await readFile(join(directory, 'pg_wal', name))
    segment = {
      path: join(scratch.path, name),
      startLsn,
      // The backup's WAL ends on the first page.
      endLsn: startLsn + 200n,
      size,
      timeline,
      systemIdentifier,
      magic: walPageMagics.get(15),
    }
  }, 120_000)

  beforeEach(() => {
    bytes = Buffer.from(original)
  })

  afterAll(() => scratch.remove())

  async function check(changes: Partial<ExpectedSegment> = {}): Promise<string | undefined> {
    await writeFile(segment.path, bytes)
    return await checkWalSegment({ ...segment, ...changes }, new WayGiver(undefined))
  }

  /** Fills the segment with pages that have good headers, as if more had been written. */
  function fill(pages: number): void {
    for (let number = 1; number < pages; number++) {
      bytes.copy(bytes, number * page, 0, 24)
      bytes.writeUInt16LE(0, number * page + 2)
      bytes.writeBigUInt64LE(segment.startLsn + BigInt(number * page), number * page + 8)
    }
  }

  const whole = (): Partial<ExpectedSegment> => ({ endLsn: segment.startLsn + BigInt(size) })
  const lsn = (offset: number): string =>
    `0/${(segment.startLsn + BigInt(offset)).toString(16).toUpperCase()}`

  test('is good as the server wrote it', async () => {
    expect(await check()).toBeUndefined()
  })

  test('is good when nothing is known of the cluster', async () => {
    expect(await check({ systemIdentifier: undefined, magic: undefined })).toBeUndefined()
  })

  test('is good with pages to its end', async () => {
    fill(size / page)
    expect(await check(whole())).toBeUndefined()
  })

  test('is good with empty pages to its end, after a switch', async () => {
    bytes.fill(0, page)
    expect(await check(whole())).toBeUndefined()
  })

  test('is good with anything behind the end', async () => {
    bytes.fill(0xff, page)
    expect(await check()).toBeUndefined()
  })

  test('has the system identifier of its cluster', async () => {
    const other = (segment.systemIdentifier ?? 0n) ^ 1n
    bytes.writeBigUInt64LE(other, 24)
    expect(await check()).toBe(
      `page at ${lsn(0)}: WAL file is from different database system: ` +
        `its system identifier is ${other}, not ${segment.systemIdentifier}`,
    )
  })

  test.each([
    { what: 'magic', spoil: () => bytes.writeUInt16LE(0xd106, 0), fault: 'invalid magic number D106' },
    { what: 'info bits', spoil: () => bytes.writeUInt16LE(0x8002, 2), fault: 'invalid info bits 8000' },
    {
      what: 'timeline',
      spoil: () => bytes.writeUInt32LE(2, 4),
      fault: 'timeline 2, but the segment is of timeline 1',
    },
    {
      what: 'timeline',
      spoil: () => bytes.writeUInt32LE(0, 4),
      fault: 'timeline 0, but the segment is of timeline 1',
    },
    {
      what: 'address',
      spoil: () => bytes.writeBigUInt64LE(0x10000n, 8),
      fault: 'unexpected page address 0/10000',
    },
    {
      what: 'long header',
      spoil: () => bytes.writeUInt16LE(0, 2),
      fault: 'the first page of a segment must have a long header',
    },
    {
      what: 'segment size',
      spoil: () => bytes.writeUInt32LE(2 ** 24, 32),
      fault: "segment size 16777216, but the cluster's is 1048576",
    },
    {
      what: 'page size',
      spoil: () => bytes.writeUInt32LE(4096, 36),
      fault: 'page size 4096, but should be 8192',
    },
    { what: 'content at all', spoil: () => bytes.fill(0), fault: 'invalid magic number 0000' },
  ])('has its $what on the first page', async ({ spoil, fault }) => {
    spoil()
    expect(await check()).toBe(`page at ${lsn(0)}: ${fault}`)
  })

  test('may be of any version when the version of the cluster is not known, but of one', async () => {
    bytes.writeUInt16LE(0xd118, 0)
    expect(await check({ magic: undefined })).toBeUndefined()
    bytes.writeUInt16LE(0x1234, 0)
    expect(await check({ magic: undefined })).toBe(`page at ${lsn(0)}: invalid magic number 1234`)
  })

  test('has every page where it belongs', async () => {
    fill(size / page)
    bytes.writeBigUInt64LE(segment.startLsn, 40 * page + 8)
    expect(await check(whole())).toBe(`page at ${lsn(40 * page)}: unexpected page address ${lsn(0)}`)
  })

  test('has no page after an empty one', async () => {
    fill(size / page)
    bytes.fill(0, 10 * page, 11 * page)
    expect(await check(whole())).toBe(`page at ${lsn(11 * page)}: it follows an empty page`)
  })

  test('has no empty page where WAL is needed behind it', async () => {
    fill(10)
    bytes.fill(0, 10 * page)
    const endLsn = segment.startLsn + BigInt(20 * page)
    expect(await check({ endLsn })).toBe(`page at ${lsn(10 * page)}: invalid magic number 0000`)
  })

  test('does not go back to an older timeline', async () => {
    fill(3)
    bytes.writeUInt32LE(2, 4)
    bytes.writeUInt32LE(2, page + 4)
    expect(await check({ timeline: 2, endLsn: segment.startLsn + 20_000n })).toBe(
      `page at ${lsn(2 * page)}: timeline 1 after timeline 2`,
    )
  })

  test.each([0, 1, page - 1, page, size - 1, size + 1])('does not have %i bytes', async (length) => {
    await check()
    await truncate(segment.path, length)
    expect(await checkWalSegment(segment, new WayGiver(undefined))).toBe(
      `it has ${length} bytes, but should have ${size}`,
    )
  })

  test('that is not there is the error of the system', async () => {
    const path = join(scratch.path, 'nowhere')
    await expect(checkWalSegment({ ...segment, path }, new WayGiver(undefined))).rejects.toMatchObject({
      code: 'ENOENT',
    })
  })

  test('of a newer timeline begins with pages of the older', async () => {
    fill(3)
    bytes.writeUInt32LE(2, 2 * page + 4)
    expect(await check({ timeline: 2, endLsn: segment.startLsn + 20_000n })).toBeUndefined()
  })
})
