import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { planFiles, type ReadingPlan } from '../../src/state/plan-files.js'
import { EvidenceTable, filePlans } from '../../src/verify/plain/evidence.js'

const DAY_MS = 86_400_000
const now = 100 * DAY_MS

/** What is known of a file: when it was read, in days before now; whether that proves that it was good. */
interface Known {
  readonly daysAgo?: number
  readonly isProof?: boolean
  readonly size?: number
  readonly isWanted?: boolean
}

function plan(files: readonly Known[], reading: ReadingPlan): string[] {
  const evidence = EvidenceTable.allocate(files.length)
  for (const [row, { daysAgo, isProof = true }] of files.entries()) {
    if (daysAgo === undefined) continue
    evidence.readAt[row] = now - daysAgo * DAY_MS
    evidence.checks[row] = isProof ? 1 : 0
  }
  planFiles(
    {
      rows: files.length,
      size: (row) => files[row]?.size ?? 10,
      isWanted: (row) => files[row]?.isWanted ?? true,
      evidence,
      now,
    },
    reading,
  )
  const names = Object.keys(filePlans)
  return Array.from(evidence.plans, (code) => names[code] ?? '')
}

const days = (count: number): number => count * 86_400

test.each<{ what: string; files: Known[]; reading: ReadingPlan; plans: string[] }>([
  {
    what: 'all is read when nothing else is asked for',
    files: [{ daysAgo: 1 }, {}],
    reading: {},
    plans: ['read', 'read'],
  },
  {
    what: 'what is not too old is compared',
    files: [{ daysAgo: 1 }, { daysAgo: 29 }, { daysAgo: 31 }, {}, { daysAgo: 1, isProof: false }],
    reading: { maxAgeSeconds: days(30) },
    plans: ['compare', 'compare', 'read', 'read', 'read'],
  },
  {
    what: 'what was read in the future proves nothing',
    files: [{ daysAgo: -1 }],
    reading: { maxAgeSeconds: days(30) },
    plans: ['read'],
  },
  {
    what: 'a share takes what was never read first, then what was read the longest ago',
    files: [{ daysAgo: 1 }, { daysAgo: 3 }, {}, { daysAgo: 2 }],
    reading: { subset: { type: 'share', share: 0.5 } },
    plans: ['compare', 'read', 'read', 'compare'],
  },
  {
    what: 'what is read anyway does not take a turn',
    files: [{ daysAgo: 9, isProof: false }, { daysAgo: 9, isProof: false }, {}, { daysAgo: 2 }],
    reading: { subset: { type: 'share', share: 0.25 } },
    plans: ['read', 'read', 'read', 'compare'],
  },
  {
    what: 'what is too old is read besides',
    files: [{ daysAgo: 50 }, { daysAgo: 40 }, { daysAgo: 1 }, {}],
    reading: { maxAgeSeconds: days(30), subset: { type: 'bytes', bytes: 10 } },
    plans: ['read', 'read', 'compare', 'read'],
  },
  {
    what: 'bytes are taken until they are enough',
    files: [{ size: 0 }, { size: 10 }, { size: 10 }, { size: 10 }],
    reading: { subset: { type: 'bytes', bytes: 11 } },
    plans: ['read', 'read', 'read', 'leave'],
  },
  {
    what: 'a part is every so manieth',
    files: [{}, {}, { daysAgo: 1 }, { daysAgo: 1 }, {}],
    reading: { subset: { type: 'part', part: 2, of: 3 } },
    plans: ['leave', 'read', 'compare', 'compare', 'read'],
  },
  {
    what: 'what does not count has no turn',
    files: [{ isWanted: false }, {}, {}],
    reading: { subset: { type: 'share', share: 0.5 } },
    plans: ['read', 'read', 'leave'],
  },
])('$what', ({ files, reading, plans }) => {
  expect(plan(files, reading)).toEqual(plans)
})

test('a share of 1/n reads every file within n nights, whatever their sizes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 50 }),
      fc.integer({ min: 1, max: 30 }),
      (sizes, nights) => {
        const lastRead = new Map<number, number>()
        for (let night = nights; night > 0; night--) {
          const files = sizes.map((size, row): Known => {
            const daysAgo = lastRead.get(row)
            return daysAgo === undefined ? { size } : { size, daysAgo: daysAgo - night }
          })
          for (const [row, what] of plan(files, { subset: { type: 'share', share: 1 / nights } }).entries())
            if (what === 'read') lastRead.set(row, night)
        }
        expect(lastRead.size).toBe(sizes.length)
      },
    ),
  )
})
