import { describe, expect, test } from 'vitest'
import { makeWalFileName } from '../../../src/postgres/wal-segment.js'
import { requireWalFiles } from '../../../src/transfer/client/backup-wal.js'

const MiB = 1024 * 1024
const segment = (name: string, size = MiB) => ({ name: makeWalFileName(name), size })

const onePrimary = { startLsn: 0x200028n, startTimeline: 1, endLsn: 0x400100n, endTimeline: 1 }
const switched = { ...onePrimary, endTimeline: 2 }

const two = segment('000000010000000000000002')
const three = segment('000000010000000000000003')
const four = segment('000000010000000000000004')
const threeOfTwo = segment('000000020000000000000003')
const fourOfTwo = segment('000000020000000000000004')
const history = segment('00000002.history', 40)

describe('the WAL that has to be there', () => {
  test.each([
    ['all of it is', onePrimary, [two, three, four]],
    ['more is', onePrimary, [two, three, threeOfTwo, four]],
    ['the timeline changed', switched, [two, three, threeOfTwo, fourOfTwo, history]],
    ['it ends on the boundary of a segment', { ...onePrimary, endLsn: 0x400000n }, [two, three]],
  ])('is taken when %s', (_what, positions, files) => {
    expect(requireWalFiles(files, positions, MiB)).toEqual(files)
  })

  test.each([
    ['000000010000000000000002', onePrimary, [three, four]],
    ['000000010000000000000003', onePrimary, [two, four]],
    ['000000010000000000000004', onePrimary, [two, three]],
    ['000000010000000000000004', onePrimary, [two, three, fourOfTwo]],
    ['000000010000000000000002', onePrimary, []],
    ['000000020000000000000004', switched, [two, three, four, history]],
    ['00000002.history', switched, [two, three, fourOfTwo]],
  ])('is refused without %s', (name, positions, files) => {
    expect(() => requireWalFiles(files, positions, MiB)).toThrow(
      expect.objectContaining({
        code: 'SERVER',
        message: `requested WAL segment ${name} has already been removed`,
      }),
    )
  })

  test('is refused when a segment has another size', () => {
    expect(() => requireWalFiles([two, segment(three.name, 17), four], onePrimary, MiB)).toThrow(
      `unexpected WAL file size "${three.name}"`,
    )
  })
})
