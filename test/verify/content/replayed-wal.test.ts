import { expect, test } from 'vitest'
import { ReplayedWal } from '../../../src/verify/content/replayed-wal.js'

test.each([
  [0x27n, false],
  [0x28n, true],
  [0x100n, true],
  [0x101n, false],
])('WAL from 0/28 to 0/100, over two timelines, writes a page of LSN %d anew: %s', (lsn, isWritten) => {
  const wal = new ReplayedWal()
  wal.tell([
    { timeline: 2, startLsn: 0x80n, endLsn: 0x100n },
    { timeline: 1, startLsn: 0x28n, endLsn: 0x80n },
  ])
  expect(new ReplayedWal(wal.buffer).writesPageOf(lsn)).toBe(isWritten)
})

test('WAL of no range writes nothing', () => {
  const wal = new ReplayedWal()
  wal.tell([])
  for (const lsn of [0n, 1n, 0xffff_ffff_ffff_ffffn]) expect(wal.writesPageOf(lsn)).toBe(false)
})

test('an LSN may have its highest bit set', () => {
  const wal = new ReplayedWal()
  wal.tell([{ timeline: 1, startLsn: 0xffff_ffff_0000_0000n, endLsn: 0xffff_ffff_0000_0010n }])
  expect(wal.writesPageOf(0xffff_ffff_0000_0001n)).toBe(true)
  expect(wal.writesPageOf(1n)).toBe(false)
})
