import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { WorkQueue } from '../../src/verify/work-queue.js'

test('gives each place to one claimer, in order, and ends when it is empty and closed', () => {
  const queue = WorkQueue.allocate(10)
  const other = new WorkQueue(queue.buffers)
  queue.publish([7, 5, 9])
  queue.close()
  const places = [queue.claim(), other.claim(), queue.claim(), other.claim(), queue.claim()]
  expect(places).toEqual([0, 1, 2, -1, -1])
  expect([0, 1, 2].map((place) => other.row(place))).toEqual([7, 5, 9])
})

test('shares outcomes and the bytes that are done', () => {
  const queue = WorkQueue.allocate(2)
  const other = new WorkQueue(queue.buffers)
  other.setOutcome(1, 2)
  other.addBytesDone(2 ** 40)
  expect([queue.outcome(0), queue.outcome(1), queue.bytesDone]).toEqual([0, 2, 2 ** 40])
})

test('is not stopped while something is being loaded, and loads nothing afterwards', async () => {
  const queue = WorkQueue.allocate(1)
  const other = new WorkQueue(queue.buffers)
  const steps: string[] = []
  const loading = other.load(async () => {
    await sleep(20)
    steps.push('loaded')
  })
  const stopping = queue.stop().then(() => steps.push('stopped'))
  expect(await loading).toBe(true)
  await stopping
  expect(steps).toEqual(['loaded', 'stopped'])
  expect(await other.load(() => Promise.reject(new Error('must not run')))).toBe(false)
})

test('is stopped also when loading fails', async () => {
  const queue = WorkQueue.allocate(1)
  await expect(queue.load(() => Promise.reject(new Error('cannot load')))).rejects.toThrow('cannot load')
  await queue.stop()
})
