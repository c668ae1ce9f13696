import { expect, test } from 'vitest'
import { verifySteps } from '../../src/verify/report.js'
import { StepTimer } from '../../src/verify/step-timer.js'

test('the steps are named in the order in which they are taken, and then all of them', () => {
  expect(Object.keys(new StepTimer().seconds())).toEqual([...verifySteps, 'total'])
  expect(verifySteps).toEqual(['manifest', 'scan', 'checksums', 'cluster', 'wal'])
})

test('a step that was not taken took no time', () => {
  const { total, ...steps } = new StepTimer().seconds()
  expect(new Set(Object.values(steps))).toEqual(new Set([0]))
  expect(total).toBeGreaterThanOrEqual(0)
})

test('a step that was taken took some, also when it failed, and gives what it has', async () => {
  const timer = new StepTimer()
  expect(await timer.time('manifest', async () => 7)).toBe(7)
  await expect(timer.time('scan', () => Promise.reject(new Error('x')))).rejects.toThrow('x')
  const { manifest, scan, total } = timer.seconds()
  expect(manifest).toBeGreaterThan(0)
  expect(scan).toBeGreaterThan(0)
  expect(total).toBeGreaterThanOrEqual(manifest + scan)
})
