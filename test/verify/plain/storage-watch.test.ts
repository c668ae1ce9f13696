import { expect, test } from 'vitest'
import { hasWaited, StorageWatch, type Usage } from '../../../src/verify/plain/storage-watch.js'

const start: Usage = { wall: 1000, processor: 300, waits: 50, pieces: 10 }

test.each([
  ['each file was waited for', { processor: 10, waits: 300, pieces: 100 }, true],
  ['some files were still in memory', { processor: 10, waits: 60, pieces: 100 }, true],
  [
    'the processors were busy, and each file was waited for',
    { processor: 150, waits: 300, pieces: 100 },
    false,
  ],
  ['other programs had the processors', { processor: 10, waits: 5, pieces: 100 }, false],
])('in 100 ms of two processors, %s', (_, { processor, waits, pieces }, expected) => {
  const end = {
    wall: start.wall + 100,
    processor: start.processor + processor,
    waits: start.waits + waits,
    pieces: start.pieces + pieces,
  }
  expect(hasWaited(start, end, 2)).toBe(expected)
})

/** Gives the processor up for a millisecond, as a read of storage does that answers late. */
function wait(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
}

test('sees the waits of this process, once something was read', () => {
  const watch = new StorageWatch()
  expect(watch.isWaiting(1, 0)).toBe(false)
  for (let count = 0; count < 100; count++) wait()
  expect(watch.isWaiting(1, 0)).toBe(false)
  expect(watch.isWaiting(1, 50)).toBe(true)
})

test('does not take what is computed for a wait', () => {
  const watch = new StorageWatch()
  watch.isWaiting(1, 0)
  for (const end = performance.now() + 50; performance.now() < end;);
  expect(watch.isWaiting(1, 5000)).toBe(false)
})
