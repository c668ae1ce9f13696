import { expect, test } from 'vitest'
import {
  exitStatusOfError,
  exitStatusOfSignal,
  exitStatusOfVerdict,
  worstStatus,
} from '../../cli/exit-status.js'
import { PbManifestError } from '../../src/errors.js'

test.each([
  ['USAGE', 2],
  ['BAD_MANIFEST', 3],
  ['BAD_FRAGMENT', 3],
  ['BAD_FILE', 5],
  ['CANNOT_MERGE', 4],
  ['IO', 5],
  ['SERVER', 6],
  ['ABORTED', 130],
] as const)('error %s has status %d', (code, status) => {
  expect(exitStatusOfError(new PbManifestError(code, 'x'), 'fragment')).toBe(status)
})

test('a file of PostgreSQL that is not in its format makes merging impossible', () => {
  expect(exitStatusOfError(new PbManifestError('BAD_FILE', 'x'), 'merge')).toBe(4)
})

test('anything that is not thrown on purpose is a bug', () => {
  expect(exitStatusOfError(new TypeError('x'), 'verify')).toBe(70)
  expect(exitStatusOfError('x', undefined)).toBe(70)
})

test('only a backup that verifies has status 0', () => {
  expect(exitStatusOfVerdict('verified')).toBe(0)
  expect(exitStatusOfVerdict('failed')).toBe(1)
  expect(exitStatusOfVerdict('partial')).toBe(7)
})

test('a signal has the status that a shell gives it', () => {
  expect(exitStatusOfSignal('SIGHUP')).toBe(129)
  expect(exitStatusOfSignal('SIGINT')).toBe(130)
  expect(exitStatusOfSignal('SIGTERM')).toBe(143)
})

test('of several backups, the worst counts: damage before what nobody could look at', () => {
  expect(worstStatus([0, 0])).toBe(0)
  expect(worstStatus([7, 0])).toBe(7)
  expect(worstStatus([0, 7, 5, 0])).toBe(5)
  expect(worstStatus([5, 3])).toBe(3)
  expect(worstStatus([3, 1, 5, 7])).toBe(1)
  expect(worstStatus([1, 70])).toBe(70)
})
