import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ThreadPool } from '../../src/verify/thread-pool.js'

/** The first thread is done at once; others when they are told to go on. */
const program = `
  import { parentPort } from 'node:worker_threads'
  parentPort.once('message', ({ start }) => {
    const control = new Int32Array(start)
    const number = Atomics.add(control, 0, 1)
    if (number > 0) Atomics.wait(control, 1, 0)
    parentPort.postMessage({ type: 'ready', number })
    parentPort.postMessage({ type: 'done' })
  })
`

test('a thread that is started while others are waited for is waited for, too', async () => {
  const control = new Int32Array(new SharedArrayBuffer(8))
  const ready: number[] = []
  const pool = new ThreadPool<SharedArrayBuffer, { readonly type: 'ready'; readonly number: number }>({
    file: new URL(`data:text/javascript,${encodeURIComponent(program)}`),
    start: control.buffer,
    onMessage: ({ number }) => {
      ready.push(number)
    },
    abandon: () => {},
  })
  pool.growTo(1)
  const end = pool.finish(undefined)
  pool.growTo(2)
  while (ready.length === 0) await setImmediate()
  // What is known by now is known.
  await setImmediate()
  Atomics.store(control, 1, 1)
  Atomics.notify(control, 1)
  await end
  expect(ready).toEqual([0, 1])
  await pool.close()
})
