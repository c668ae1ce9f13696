import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { verifySteps } from '../src/verify/report.js'
import { StepClock } from '../src/step-clock.js'

test('the steps are named in the order in which they are taken, and then all of them', () => {
  expect(Object.keys(new StepClock(verifySteps).seconds())).toEqual([...verifySteps, 'total'])
  expect(verifySteps).toEqual(['manifest', 'scan', 'checksums', 'cluster', 'wal'])
})

test('a step that was not taken took no time', () => {
  const { total, ...steps } = new StepClock(verifySteps).seconds()
  expect(new Set(Object.values(steps))).toEqual(new Set([0]))
  expect(total).toBeGreaterThanOrEqual(0)
})

test('a step that was taken took some, also when it failed, and gives what it has', async () => {
  const clock = new StepClock(verifySteps)
  expect(await clock.time('manifest', async () => 7)).toBe(7)
  await expect(clock.time('scan', () => Promise.reject(new Error('x')))).rejects.toThrow('x')
  const { manifest, scan, total } = clock.seconds()
  expect(manifest).toBeGreaterThan(0)
  expect(scan).toBeGreaterThan(0)
  expect(total).toBeGreaterThanOrEqual(manifest + scan)
})

test('what a step took a second time is added', async () => {
  const clock = new StepClock(['sync'])
  await clock.time('sync', () => setTimeout(2))
  const { sync } = clock.seconds()
  await clock.time('sync', () => setTimeout(2))
  expect(clock.seconds().sync).toBeGreaterThan(sync)
})

test('each step is told when it begins', async () => {
  const told: string[] = []
  const clock = new StepClock(['list', 'copy'], (step) => told.push(step))
  await clock.time('list', async () => told.push('listed'))
  await clock.time('copy', async () => told.push('copied'))
  expect(told).toEqual(['list', 'listed', 'copy', 'copied'])
})
