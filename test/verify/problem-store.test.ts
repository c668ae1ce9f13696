import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ProblemStore } from '../../src/verify/problem-store.js'
import { fileProblem } from '../../src/verify/problems.js'
import { type Problem, problemKinds } from '../../src/verify/report.js'

const text = fc.string({ unit: 'grapheme', maxLength: 60 })
const problem: fc.Arbitrary<Problem> = fc
  .record({
    kind: fc.constantFrom(...problemKinds),
    path: fc.option(text, { nil: undefined }),
    encodedPath: fc.option(text, { nil: undefined }),
    before: text,
    after: text,
    hasPath: fc.boolean(),
    detail: fc.option(text, { nil: undefined }),
  })
  .map(({ kind, path, encodedPath, before, after, hasPath, detail }) => ({
    kind,
    ...(path !== undefined && { path }),
    ...(encodedPath !== undefined && { encodedPath }),
    message: `${before}${hasPath ? (path ?? '') : ''}${after}`,
    ...(detail !== undefined && { detail }),
  }))

test('gives back the problems that were put into it, in their order, as often as it is asked', () => {
  fc.assert(
    fc.property(fc.array(problem, { maxLength: 50 }), (problems) => {
      const store = new ProblemStore()
      for (const problem of problems) store.add(problem)
      expect([...store]).toEqual(problems)
      expect([...store]).toEqual(problems)
    }),
  )
})

test('gives back problems longer than its chunks, and more messages than it has templates for', () => {
  const long: Problem = { kind: 'extra', path: 'p'.repeat(3_000_000), message: 'x' }
  const many = Array.from({ length: 3000 }, (_, size) =>
    fileProblem('size-mismatch', `f${size % 7}`, (name) => `"${name}" has size ${size} on disk`),
  )
  const store = new ProblemStore()
  for (const problem of [long, ...many, long]) store.add(problem)
  expect([...store]).toEqual([long, ...many, long])
})

test('a missing file takes 20 bytes and its path', () => {
  const before = buffersInUse()
  const store = new ProblemStore()
  for (let index = 0; index < 500_000; index++) {
    store.add(
      fileProblem('missing', path(index), (name) => `"${name}" is present in the manifest but not on disk`),
    )
  }
  const bytes = buffersInUse() - before
  // It grows by chunks.
  expect(bytes / 500_000).toBeGreaterThan(path(0).length)
  expect(bytes / 500_000).toBeLessThan(1.1 * (20 + path(0).length))
  expect([...store].at(-1)?.path).toBe(path(499_999))
})

function path(index: number): string {
  return `base/16384/${100_000 + index}`
}

/** Without what other tests of this process have left. */
function buffersInUse(): number {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}
