import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { PlannedDirectories, type PlannedFiles, planRows } from '../../src/shards/plan-shards.js'

const names = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 4 })
const files = fc
  .uniqueArray(fc.record({ pathname: names.map((parts) => parts.join('/')), size: fc.nat(1e9) }), {
    selector: ({ pathname }) => pathname,
    maxLength: 60,
  })
  .map((list): PlannedFiles => ({
    rows: list.length,
    size: (row) => list[row]?.size ?? 0,
    pathname: (row) => list[row]?.pathname ?? '',
  }))

const shardsOf = (shards: number): readonly number[] =>
  Array.from({ length: shards }, (_, index) => index + 1)

test('each file is in one shard, and no shard has more than its part and one file', () => {
  fc.assert(
    fc.property(files, fc.integer({ min: 1, max: 80 }), (planned, shards) => {
      let next = 0
      const costs = Array.from({ length: planned.rows }, (_, row) => planned.size(row) + 4096)
      const part = costs.reduce((sum, cost) => sum + cost, 0) / shards
      for (const shard of shardsOf(shards)) {
        const { first, end } = planRows(planned, { shard, shards })
        expect(first).toBe(next)
        next = end
        const own = costs.slice(first, end).reduce((sum, cost) => sum + cost, 0)
        expect(own).toBeLessThanOrEqual(part + Math.max(0, ...costs) + 1)
      }
      expect(next).toBe(planned.rows)
    }),
  )
})

test('each directory, known or not, is that of one shard, which looks into it', () => {
  fc.assert(
    fc.property(files, fc.integer({ min: 1, max: 9 }), names, (planned, shards, parts) => {
      const directory = parts.join('/')
      const all = shardsOf(shards).map(
        (shard) => new PlannedDirectories(planned, planRows(planned, { shard, shards }), shard === 1),
      )
      const owners = all.filter((directories) => directories.owns(directory))
      expect(owners).toHaveLength(1)
      expect(owners[0]?.enters(directory)).toBe(true)
      expect(all.filter((directories) => directories.owns(''))).toHaveLength(1)
    }),
  )
})
