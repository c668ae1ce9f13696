import { expect, test } from 'vitest'
import { DatabaseError } from '../../../src/transfer/connection/pg.js'
import {
  describeServerError,
  onOneLine,
  reportedLines,
} from '../../../src/transfer/connection/server-error.js'
import { sqlError } from '../../../src/transfer/cluster-files/sql/sql-error.js'
import { reportedError } from '../../../src/transfer/client/source/agent-connection.js'

test.each([
  ['', ''],
  ['one line', 'one line'],
  [' \n two \r\n\r\n  lines \n', 'two lines'],
])('%j is %j on one line', (text, expected) => {
  expect(onOneLine(text)).toBe(expected)
})

test('lines stay lines, without blank ones', () => {
  expect(reportedLines('a\n \nb\r\nc')).toEqual(['a', 'b', 'c'])
})

// Each of these took minutes, in which the program heard no signal.
test.each([
  ['blanks', ' '.repeat(160_000)],
  ['blanks between words', `a${' '.repeat(160_000)}b`],
  ['line breaks', `a${'\n'.repeat(160_000)}b`],
  ['a long word', 'a'.repeat(160_000)],
])('160 kB of %s in a message do not matter, and are not repeated', (_what, text) => {
  const reported = new DatabaseError(text, text.length, 'error')
  reported.detail = text
  reported.hint = text
  const fields = {
    severity: 'ERROR',
    sqlstate: '',
    message: text,
    detail: text,
    hint: text,
    position: undefined,
  }
  for (const { message, details, hint } of [sqlError(reported, 'x'), reportedError(fields)]) {
    for (const shown of [message, ...details, hint ?? '']) expect(shown.length).toBeLessThan(20_000)
  }
  expect(describeServerError(reported).length).toBeLessThan(20_000)
})
