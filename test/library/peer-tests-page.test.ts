import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const rows = readFileSync(`${root}/docs/pg-basebackup-tests.md`, 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .slice(2)
  .map((line) => line.split('|').map((cell) => cell.trim()))

test('the page about the tests of pg_basebackup has all of its checks, each once', () => {
  const numbers = rows.flatMap(([, checks = '']) =>
    checks.split(', ').flatMap((range) => {
      const [first = '', last = first] = range.split('-')
      return Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => Number(first) + index)
    }),
  )
  expect(numbers.toSorted((one, other) => one - other)).toEqual(
    Array.from({ length: 200 }, (_, index) => index + 1),
  )
})

test('the tests that it names are there', () => {
  const named = rows.flatMap(([, , , tests = '']) =>
    [...tests.matchAll(/`([a-z/-]+)`: ("[^"]+"(?:, "[^"]+")*)/g)].flatMap(([, file = '', titles = '']) =>
      [...titles.matchAll(/"([^"]+)"/g)].map(([, title = '']) => ({ file, title })),
    ),
  )
  expect(named.length).toBeGreaterThan(45)
  const missing = named.filter(({ file, title }) => {
    const source = readFileSync(`${root}/test/${file}.test.ts`, 'utf8')
    return !["'", '"', '`'].some((quote) => source.includes(`${quote}${title}${quote}`))
  })
  expect(missing).toEqual([])
})
