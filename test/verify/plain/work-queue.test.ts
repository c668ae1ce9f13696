import { expect, test } from 'vitest'
import { Abandoned } from '../../../src/threads/claims.js'
import { WorkQueue } from '../../../src/verify/plain/work-queue.js'

test('gives each place to one claimer, in order, and ends when it is empty and closed', () => {
  const queue = WorkQueue.allocate(10)
  const other = new WorkQueue(queue.buffers)
  queue.publish([7, 5, 9], 0)
  queue.complete()
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

test('gives no place away once it is abandoned, whatever is left in it', () => {
  const queue = WorkQueue.allocate(3)
  const other = new WorkQueue(queue.buffers)
  queue.publish([1, 2, 3], 0)
  expect(other.claim()).toBe(0)
  queue.abandon()
  // A later closing does not open it again.
  queue.complete()
  expect(other.claim()).toBe(-1)
  expect(() => other.throwIfAbandoned()).toThrow(Abandoned)
})
