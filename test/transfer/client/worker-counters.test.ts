import { expect, test } from 'vitest'
import { WorkerCounters } from '../../../src/transfer/client/worker-counters.js'

test('shares what each worker did', () => {
  const counters = WorkerCounters.allocate(3)
  const other = new WorkerCounters(counters.buffer)
  other.addBytes(0, 2 ** 45)
  other.addBytes(2, 10)
  other.addFile(2)
  other.addFile(2)
  other.addTime(2, 'writing', 1500)
  other.addTime(2, 'idle', 0.25)
  expect(counters.workers).toBe(3)
  expect([counters.bytes(0), counters.bytes(1), counters.bytes(2)]).toEqual([2 ** 45, 0, 10])
  expect([counters.files(0), counters.files(2)]).toEqual([0, 2])
  expect(counters.seconds(2)).toEqual({
    waiting: 0,
    throttled: 0,
    processing: 0,
    writing: 1.5,
    syncing: 0,
    idle: 0.000_25,
  })
  expect(counters.totalBytes()).toBe(2 ** 45 + 10)
})
