import { describe, expect, test } from 'vitest'
import { walRangesOfPositions } from '../../src/manifest/wal-ranges.js'
import { parseTimelineHistory, timelineWithoutHistory } from '../../src/postgres/timeline-history.js'

const oneSwitch = parseTimelineHistory('1\t0/B0007F8\tno recovery target specified\n', 2, '00000002.history')
const twoSwitches = parseTimelineHistory('1\t0/3000000\tx\n2\t0/5000000\tx\n', 3, '00000003.history')

describe('walRangesOfPositions', () => {
  test('is one range on one timeline', () => {
    const positions = { startLsn: 0x2000028n, startTimeline: 1, endLsn: 0x2000100n, endTimeline: 1 }
    expect(walRangesOfPositions(positions, timelineWithoutHistory(1))).toEqual([
      { timeline: 1, startLsn: 0x2000028n, endLsn: 0x2000100n },
    ])
  })

  test('is what a server wrote for a backup during which its upstream was promoted', () => {
    const positions = { startLsn: 0xaf00028n, startTimeline: 1, endLsn: 0xb402150n, endTimeline: 2 }
    expect(walRangesOfPositions(positions, oneSwitch)).toEqual([
      { timeline: 2, startLsn: 0xb0007f8n, endLsn: 0xb402150n },
      { timeline: 1, startLsn: 0xaf00028n, endLsn: 0xb0007f8n },
    ])
  })

  test('has a range for every timeline on the way', () => {
    const positions = { startLsn: 0x2000028n, startTimeline: 1, endLsn: 0x7000000n, endTimeline: 3 }
    expect(walRangesOfPositions(positions, twoSwitches)).toEqual([
      { timeline: 3, startLsn: 0x5000000n, endLsn: 0x7000000n },
      { timeline: 2, startLsn: 0x3000000n, endLsn: 0x5000000n },
      { timeline: 1, startLsn: 0x2000028n, endLsn: 0x3000000n },
    ])
  })

  test('has no range for what was before the start', () => {
    const positions = { startLsn: 0x4000000n, startTimeline: 2, endLsn: 0x7000000n, endTimeline: 3 }
    expect(walRangesOfPositions(positions, twoSwitches)).toEqual([
      { timeline: 3, startLsn: 0x5000000n, endLsn: 0x7000000n },
      { timeline: 2, startLsn: 0x4000000n, endLsn: 0x5000000n },
    ])
  })

  test.each([
    [
      'an end on a timeline that the history is not of',
      { startLsn: 0x2000028n, startTimeline: 1, endLsn: 0x7000000n, endTimeline: 4 },
      'expected end timeline 4 but found timeline 3',
    ],
    [
      'a start on a timeline that is no ancestor',
      { startLsn: 0x2000028n, startTimeline: 4, endLsn: 0x7000000n, endTimeline: 3 },
      'expected start timeline 4 but found timeline 1',
    ],
    [
      'a start after its timeline was left',
      { startLsn: 0x5000001n, startTimeline: 2, endLsn: 0x7000000n, endTimeline: 3 },
      'start timeline 2 not found in history of timeline 3',
    ],
  ])('refuses %s', (_, positions, reason) => {
    expect(walRangesOfPositions(positions, twoSwitches)).toBe(reason)
  })
})
