import { expect, test } from 'vitest'
import { Messages } from '../../cli/messages.js'
import { formatPace, formatProgress, ProgressReporter } from '../../cli/progress-reporter.js'

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

test.each([
  [0, 100, 5, ''],
  [50 * 1024, 100 * 1024, 5, ', 10.0 kB/s, 0:05 left'],
  [1024 * 1024, 3700 * 1024 * 1024, 1, ', 1.0 MB/s, 1:01:39 left'],
  [100, 100, 2, ', 50 bytes/s, 0:00 left'],
])('%d of %d bytes after %d seconds go at "%s"', (bytesDone, bytesTotal, seconds, pace) => {
  expect(formatPace({ bytesDone, bytesTotal }, seconds)).toBe(pace)
})

test('shows pace and time left on a terminal only', () => {
  const lines: string[] = []
  let now = 0
  const messages = new Messages({ isTTY: true, write: (text) => lines.push(text) }, false)
  const reporter = new ProgressReporter(messages, () => now)
  reporter.report({ bytesDone: 0, bytesTotal: 4096 })
  now = 2000
  reporter.report({ bytesDone: 2048, bytesTotal: 4096 })
  expect(lines.at(-1)).toBe('2/4 kB (50%) verified, 1.0 kB/s, 0:02 left\r')
})
