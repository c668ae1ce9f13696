import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { Inbox, SharedCount, WakeUp } from '../../src/threads/wake-up.js'

test('who waits is woken once, and who does not is not held', async () => {
  const wakeUp = new WakeUp()
  wakeUp.wake()
  let woken = 0
  const waiting = wakeUp.wait().then(() => woken++)
  await setImmediate()
  expect(woken).toBe(0)
  wakeUp.wake()
  wakeUp.wake()
  await waiting
  expect(woken).toBe(1)
})

test('messages are taken in their order, and waited for', async () => {
  const inbox = new Inbox<number>()
  const first = inbox.next()
  inbox.push(1)
  inbox.push(2)
  expect([await first, await inbox.next()]).toEqual([1, 2])
})

test('a thread sleeps until it is counted on', async () => {
  const memory = new Int32Array(new SharedArrayBuffer(8))
  const count = new SharedCount(memory, 1)
  const sleeper = `
    import { parentPort, workerData } from 'node:worker_threads'
    parentPort.postMessage('asleep')
    while (Atomics.load(workerData, 1) === 0) Atomics.wait(workerData, 1, 0)
    parentPort.postMessage('awake')`
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(sleeper)}`), {
    workerData: memory,
  })
  expect(await once(worker, 'message')).toEqual(['asleep'])
  const awake = once(worker, 'message')
  count.add(3)
  expect(await awake).toEqual(['awake'])
  expect([count.value, ...memory]).toEqual([3, 0, 3])
})

test('sleeping ends at the latest when the time is up', () => {
  const count = new SharedCount(new Int32Array(new SharedArrayBuffer(4)))
  expect(count.sleepWhile(0, 1)).toBe(false)
  expect(count.sleepWhile(7)).toBe(true)
})
