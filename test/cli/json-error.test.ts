import { expect, test } from 'vitest'
import { program } from '../../cli/command-table.js'
import { describeErrorAsJson, outputAskedFor } from '../../cli/json-error.js'
import { PbManifestError } from '../../src/errors.js'

test.each([
  [['verify', '--output=json', 'a'], true],
  [['verify', 'a', '--output', 'json'], true],
  [['verify', '--output=json', '--output=text', 'a'], false],
  [['verify', '--output=text', '--output', 'json', 'a'], true],
  [['verify', '--', '--output=json'], false],
  [['verify', 'a'], false],
  [['verify', '--out=json', 'a'], true],
  [['verify', '--o', 'json', 'a'], true],
  [['verify', '-q', '--output'], false],
  [['sign', '--output=json'], false],
  [['nonsense', '--output=json'], false],
  [['show', '--output=json', 'a'], true],
  [['merge', '--output', 'json'], false],
  [[], false],
])('whether %j asks for JSON: %j', (args, expected) => {
  expect(outputAskedFor(args, program) === 'json').toBe(expected)
})

test('another output is told by its name, and one that the command does not have is none', () => {
  expect(outputAskedFor(['verify', '--output=nagios', 'a'], program)).toBe('nagios')
  expect(outputAskedFor(['show', '--output=nagios', 'a'], program)).toBeUndefined()
})

test('an error says all that it knows', () => {
  const error = new PbManifestError('BAD_MANIFEST', 'no', { details: ['a', 'b'] })
  expect(describeErrorAsJson(error, 'Do it.')).toEqual({
    error: { code: 'BAD_MANIFEST', message: 'no', details: ['a', 'b'], hint: 'Do it.' },
  })
})

test('a bug is INTERNAL', () => {
  expect(describeErrorAsJson(new TypeError('oops'), undefined)).toEqual({
    error: { code: 'INTERNAL', message: 'oops', details: [], hint: null },
  })
})
