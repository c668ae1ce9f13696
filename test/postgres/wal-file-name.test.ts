import { describe, expect, test } from 'vitest'
import { timelineHistoryFileName } from '../../src/postgres/timeline-history.js'
import { parseWalFileName, walSegmentName } from '../../src/postgres/wal-segment.js'

describe('names of files in pg_wal', () => {
  test.each(['00000001000000000000000E', 'FFFFFFFFFFFFFFFFFFFFFFFF', '00000002.history'])(
    'are %s',
    (name) => {
      expect(parseWalFileName(name)).toBe(name)
    },
  )

  test.each([
    '',
    '00000001000000000000000e',
    '00000001000000000000000E0',
    '00000001000000000000000E.partial',
    '2/../../../outside/authorized_keys',
    '2.history',
    '00000002.history\n',
    'archive_status',
  ])('are not %j', (name) => {
    expect(parseWalFileName(name)).toBeUndefined()
  })

  test('are made of the numbers that PostgreSQL has, and no others', () => {
    expect(timelineHistoryFileName(0xffff_ffff)).toBe('FFFFFFFF.history')
    expect(() => timelineHistoryFileName(2 ** 32)).toThrow(RangeError)
    expect(() => walSegmentName(-1, 0n, 2 ** 24)).toThrow(RangeError)
    expect(() => walSegmentName(1, 2n ** 60n, 2 ** 24)).toThrow(RangeError)
  })
})
