import { expect, test } from 'vitest'
import { RateMeter } from '../../../src/transfer/agent/backup-table.js'

test('a rate is that of the last ten seconds', () => {
  const meter = new RateMeter(0)
  expect(meter.rate(0, 0)).toBe(0)
  // A thousand a second for a minute, then nothing.
  for (let second = 1; second <= 60; second++) meter.sample(second * 1000, second * 1000)
  expect(meter.rate(60_000, 60_000)).toBe(1000)
  for (let second = 61; second <= 65; second++) meter.sample(second * 1000, 60_000)
  expect(meter.rate(65_000, 60_000)).toBe(500)
  for (let second = 66; second <= 75; second++) meter.sample(second * 1000, 60_000)
  expect(meter.rate(75_000, 60_000)).toBe(0)
})

test('it is known before the first sample', () => {
  expect(new RateMeter(1000).rate(1500, 600)).toBe(1200)
})
