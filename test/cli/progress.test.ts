import { expect, test } from 'vitest'
import { Messages } from '../../cli/messages.js'
import { formatProgress, ProgressReporter } from '../../cli/progress.js'

test.each([
  [0, 70_258 * 1024, '    0/70258 kB (0%) verified'],
  [70_258 * 1024, 70_258 * 1024, '70258/70258 kB (100%) verified'],
  [29, 100, '0/0 kB (29%) verified'],
  [1023, 2048, '0/2 kB (49%) verified'],
  [0, 0, '0/0 kB (0%) verified'],
  [8e15 - 1, 8e15, '7812499999999/7812500000000 kB (99%) verified'],
])('%d of %d bytes are "%s"', (bytesDone, bytesTotal, line) => {
  expect(formatProgress({ bytesDone, bytesTotal })).toBe(line)
})

function reportAt(times: readonly number[]): string[] {
  const lines: string[] = []
  let now = 0
  const messages = new Messages({ write: (text) => lines.push(text.trim()) }, false)
  const reporter = new ProgressReporter(messages, () => now)
  for (const time of times) {
    now = time
    reporter.report({ bytesDone: time * 1024, bytesTotal: 9999 * 1024 })
  }
  reporter.finish()
  return lines.map((line) => line.split('/')[0] ?? '')
}

test('shows the first state, then at most one a second, and the last', () => {
  expect(reportAt([0, 10, 999, 1000, 1500, 1999, 2001, 2002])).toEqual(['0', '1000', '2001', '2002'])
})

test('shows nothing when there was nothing to read', () => {
  expect(reportAt([])).toEqual([])
})
