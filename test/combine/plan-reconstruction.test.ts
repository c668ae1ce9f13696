import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  countOrigins,
  FROM_NOWHERE,
  planReconstruction,
  type SourceLayout,
} from '../../src/combine/plan-reconstruction.js'

function incremental(truncationBlockLength: number, ...blocks: number[]): SourceLayout {
  return { kind: 'incremental', blocks: Uint32Array.from(blocks), truncationBlockLength }
}

function whole(blocks: number, restBytes = 0): SourceLayout {
  return { kind: 'whole', bytes: blocks * 8192 + restBytes }
}

/** Origins as text: a digit for each block, `-` for none. */
function origins(...sources: SourceLayout[]): string | undefined {
  const plan = planReconstruction(sources)
  return (
    plan && Array.from(plan.origins, (origin) => (origin === FROM_NOWHERE ? '-' : String(origin))).join('')
  )
}

describe('each block comes from the newest backup that has it', () => {
  test.each([
    { what: 'changed blocks over a whole file', sources: [incremental(4, 1, 3), whole(4)], expected: '1010' },
    {
      what: 'several generations',
      sources: [incremental(4, 1), incremental(4, 1, 2), whole(4)],
      expected: '2012',
    },
    {
      what: 'a file that grew by blocks that are listed',
      sources: [incremental(2, 2, 3), whole(2)],
      expected: '1100',
    },
    {
      what: 'a file that grew by blocks that nobody wrote',
      sources: [incremental(4, 3), whole(2)],
      expected: '11-0',
    },
    { what: 'a file that shrank', sources: [incremental(2, 0), whole(4)], expected: '01' },
    {
      what: 'a file that shrank, and whose lost blocks an earlier backup lists',
      sources: [incremental(2, 0), incremental(4, 1, 3), whole(4)],
      expected: '01',
    },
    {
      what: 'blocks beyond the stated length, of which only the newest backup counts',
      sources: [incremental(2, 4), incremental(4, 3), whole(4)],
      expected: '22--0',
    },
    {
      what: 'a whole file that ends within a block',
      sources: [incremental(3, 0), whole(1, 100)],
      expected: '0--',
    },
    { what: 'an empty file', sources: [incremental(0), whole(3)], expected: '' },
  ])('$what', ({ sources, expected }) => {
    expect(origins(...sources)).toBe(expected)
  })

  test('as a simple model has it', () => {
    const blocks = fc.uniqueArray(fc.nat(20), { maxLength: 12 }).map((list) => list.toSorted((a, b) => a - b))
    const layer = fc.tuple(fc.nat(20), blocks)
    fc.assert(
      fc.property(fc.array(layer, { minLength: 1, maxLength: 4 }), fc.nat(24), (layers, wholeBlocks) => {
        const sources = [...layers.map(([stated, list]) => incremental(stated, ...list)), whole(wholeBlocks)]
        const [[stated, newest] = [0, []]] = layers
        const length = Math.max(stated, ...newest.map((block) => block + 1))
        let expected = ''
        for (let block = 0; block < length; block++) {
          const listedIn = layers.findIndex(
            ([, list], index) => list.includes(block) && (index === 0 || block < stated),
          )
          const isInWhole = block < stated && block < wholeBlocks
          expected += listedIn === -1 ? (isInWhole ? String(layers.length) : '-') : String(listedIn)
        }
        expect(origins(...sources)).toBe(expected)
      }),
    )
  })
})

describe('a file is a copy', () => {
  test.each([
    { what: 'when nothing was changed', sources: [incremental(3), incremental(3), whole(3)], isCopy: true },
    { what: 'also of an empty one', sources: [incremental(0), whole(0)], isCopy: true },
    { what: 'not when it has another length', sources: [incremental(3), whole(4)], isCopy: false },
    { what: 'not when it ends within a block', sources: [incremental(3), whole(3, 1)], isCopy: false },
    {
      what: 'not when an earlier backup has a block',
      sources: [incremental(3), incremental(3, 1), whole(3)],
      isCopy: false,
    },
    {
      what: 'when an earlier backup has only a block that was lost since',
      sources: [incremental(3), incremental(5, 4), whole(3)],
      isCopy: true,
    },
  ])('$what', ({ sources, isCopy }) => {
    expect(planReconstruction(sources)?.isCopy).toBe(isCopy)
  })
})

test('without a whole file, there is no plan', () => {
  expect(planReconstruction([incremental(1, 0)])).toBeUndefined()
  expect(planReconstruction([incremental(1, 0), incremental(1, 0)])).toBeUndefined()
  expect(planReconstruction([whole(1)])).toBeUndefined()
  expect(planReconstruction([])).toBeUndefined()
})

test('blocks are counted by their source', () => {
  const sources = [incremental(6, 1), incremental(6, 2, 3), whole(5)]
  const plan = planReconstruction(sources)
  expect(plan && countOrigins(plan, 3)).toEqual([1, 2, 2])
})
