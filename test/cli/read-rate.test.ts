import { expect, test } from 'vitest'
import { readRate } from '../../cli/read-rate.js'

test.each([
  ['32', 32],
  ['100k', 100],
  ['2M', 2048],
  ['0.5M', 512],
  ['1e3', 1000],
  [' 64 k ', 64],
  ['1024M', 1_048_576],
  ['32.9', 32],
])('"%s" is %d kB/s', (text, rate) => {
  expect(readRate(text)).toBe(rate)
})

// The words of pg_basebackup.
test.each([
  ['fast', 'transfer rate "fast" is not a valid value'],
  ['k', 'transfer rate "k" is not a valid value'],
  ['0', 'transfer rate must be greater than zero'],
  ['-5', 'transfer rate must be greater than zero'],
  ['100G', 'invalid --max-rate unit: "G"'],
  ['100kB', 'invalid --max-rate unit: "kB"'],
  ['31', 'transfer rate "31" is out of range'],
  ['1025M', 'transfer rate "1025M" is out of range'],
  ['1e400', 'transfer rate "1e400" is out of range'],
])('"%s" is refused', (text, message) => {
  expect(() => readRate(text)).toThrow(expect.objectContaining({ code: 'USAGE', message }))
})
