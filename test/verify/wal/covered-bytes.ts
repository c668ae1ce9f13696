import { type RealWal, realWalSegmentSize } from '../../helpers/real-wal.js'

const page = 8192

/**
 * Which bits of WAL some check covers, by the record list of PostgreSQL's own tools and the layout of a page's header;
 * it knows nothing of our reader.
 *
 * @returns for each byte a mask of the bits that are covered
 * @param baseLsn - the LSN of the first byte, where a segment begins
 */
export function coveredBits(wal: RealWal, baseLsn: bigint, length: number): Uint8Array {
  const covered = new Uint8Array(length)
  const last = wal.records.at(-1)
  const end = Number(wal.endLsn - baseLsn)
  for (let at = 0; at < Math.min(end, length); at += page) coverHeader(covered, at, wal.major)
  for (const record of wal.records) coverRecord(covered, Number(record.lsn - baseLsn), record.length)
  if (last === undefined) throw new Error('the WAL has no record')
  return covered
}

function headerSize(at: number): number {
  return at % realWalSegmentSize === 0 ? 40 : 24
}

function coverHeader(covered: Uint8Array, at: number, major: number): void {
  covered.fill(0xff, at, at + headerSize(at))
  // Whether a backup was running when the page was begun, which is told up to 18, says nothing of the WAL.
  if (major < 19) covered[at + 2] = 0xff ^ 0x04
  // Padding.
  covered.fill(0, at + 20, at + 24)
}

/** All of a record is covered by its CRC. It goes on behind the headers of pages. */
function coverRecord(covered: Uint8Array, start: number, length: number): void {
  let rest = length
  let at = start
  while (rest > 0) {
    if (at % page === 0) at += headerSize(at)
    const size = Math.min(rest, page - (at % page))
    covered.fill(0xff, at, at + size)
    at += size
    rest -= size
  }
}
