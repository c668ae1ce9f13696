import '../helpers/servers-only.js'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ProblemStore } from '../../src/verify/problem-store.js'
import { fileProblem } from '../../src/verify/problems.js'
import { type Problem, problemKinds } from '../../src/verify/report.js'
import { mustRun } from '../helpers/run-program.js'

const text = fc.string({ unit: 'grapheme', maxLength: 60 })
const count = fc.oneof(fc.nat(300), fc.maxSafeNat())
const hex = fc.oneof(fc.constant('8a744722'), fc.constant('0'.repeat(64)))
const hasKeys = (value: object): boolean => Object.keys(value).length > 0
const problem: fc.Arbitrary<Problem> = fc
  .record({
    kind: fc.constantFrom(...problemKinds),
    path: fc.option(text, { nil: undefined }),
    encodedPath: fc.option(text, { nil: undefined }),
    before: text,
    after: text,
    hasPath: fc.boolean(),
    detail: fc.option(text, { nil: undefined }),
    facts: fc.record(
      {
        size: fc.record({ expected: count, found: count }, { requiredKeys: [] }).filter(hasKeys),
        checksum: fc.record({ algorithm: fc.constantFrom('CRC32C', 'SHA256'), expected: hex, found: hex }),
        block: count,
        furtherBlocks: count,
        blocks: fc.array(count, { maxLength: 100 }),
        lsn: text,
        range: fc.record({ startLsn: text, endLsn: text }),
        segment: fc.constantFrom('000000010000000000000002', '00000001000000000000000A'),
        member: text,
        systemIdentifier: fc.record({
          expected: fc.constant('7711113546893945671'),
          found: fc.constant('17'),
        }),
      },
      { requiredKeys: [] },
    ),
  })
  .map(({ kind, path, encodedPath, before, after, hasPath, detail, facts }) => ({
    kind,
    ...(path !== undefined && { path }),
    ...(encodedPath !== undefined && { encodedPath }),
    message: `${before}${hasPath ? (path ?? '') : ''}${after}`,
    ...(detail !== undefined && { detail }),
    ...facts,
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
    fileProblem('size-mismatch', `f${size % 7}`, (name) => `"${name}" has size ${size} on disk`, {
      size: { expected: 1, found: size },
    }),
  )
  const store = new ProblemStore()
  for (const problem of [long, ...many, long]) store.add(problem)
  expect([...store]).toEqual([long, ...many, long])
  expect(JSON.stringify([...store])).toBe(JSON.stringify([long, ...many, long]))
})

/** Puts many problems into a store; prints how many bytes of buffers each took, and the path of the last. */
const measure = `
  const verify = (file) => import(new URL('../../dist/src/verify/' + file, ${JSON.stringify(import.meta.url)}))
  const { ProblemStore } = await verify('problem-store.js')
  const { fileProblem } = await verify('problems.js')
  const before = process.memoryUsage().arrayBuffers
  const store = new ProblemStore()
  for (let index = 0; index < 500_000; index++) {
    const path = 'base/16384/' + (100_000 + index)
    const message = (name) => '"' + name + '" is present in the manifest but not on disk'
    store.add(fileProblem('missing', path, message, { size: { expected: index % 2 === 0 ? 8192 : 1073741824 } }))
  }
  const bytes = (process.memoryUsage().arrayBuffers - before) / 500_000
  process.stdout.write(JSON.stringify({ bytes, last: [...store].at(-1).path }))`

// In a process of its own: what other tests leave in this one is given back at any moment.
test('a missing file takes 11 bytes and its path', async () => {
  const { stdout } = await mustRun(process.execPath, ['--input-type=module', '--eval', measure])
  const { bytes, last } = JSON.parse(stdout) as { bytes: number; last: string }
  expect(last).toBe('base/16384/599999')
  expect(bytes).toBeGreaterThan(last.length)
  // It grows by chunks.
  expect(bytes).toBeLessThan(1.1 * (11 + last.length))
})
