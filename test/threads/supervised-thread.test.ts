import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import type { PbManifestError } from '../../src/errors.js'
import { PrestartedThread } from '../../src/threads/prestarted-thread.js'
import { SupervisedThread } from '../../src/threads/supervised-thread.js'

/** A thread's program, given as its text. */
function program(text: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`)
}

interface Watched {
  readonly thread: SupervisedThread<unknown, unknown>
  readonly messages: unknown[]
  readonly failures: PbManifestError[]
}

function start(text: string, name?: string): Watched {
  const options = name === undefined ? {} : { name }
  const thread = new SupervisedThread<unknown, unknown>(program(text), options)
  const messages: unknown[] = []
  const failures: PbManifestError[] = []
  thread.watch({
    onMessage: (message) => {
      messages.push(message)
      if (message === 'done') thread.markDone()
    },
    onFailure: (error) => failures.push(error),
  })
  return { thread, messages, failures }
}

const echo = `
  import { parentPort } from 'node:worker_threads'
  parentPort.once('message', (message) => {
    parentPort.postMessage(message)
    parentPort.postMessage('done')
  })`

test('its messages are passed on, and its end is no failure when it has said that it is done', async () => {
  const { thread, messages, failures } = start(echo)
  thread.post({ type: 'start' })
  await thread.waitFor(thread.exit)
  expect(messages).toEqual([{ type: 'start' }, 'done'])
  expect(failures).toEqual([])
})

test.each([
  { name: 'throws', text: 'throw new Error("no luck")', message: /^a worker thread failed: no luck$/ },
  {
    name: 'exits',
    text: 'process.exit(3)',
    message: /^a worker thread ended unexpectedly with status 3$/,
  },
  {
    name: 'ends before it is done',
    text: '',
    message: /^a worker thread ended unexpectedly with status 0$/,
  },
])('one that $name fails once, with the cause', async ({ text, message }) => {
  const { thread, failures } = start(text)
  await thread.exit
  expect(failures).toEqual([expect.objectContaining({ code: 'IO', message: expect.stringMatching(message) })])
})

test('it is called in messages what its owner calls it', async () => {
  const { thread, failures } = start('throw new Error("no luck")', 'the thread of the session')
  await thread.exit
  expect(failures).toMatchObject([{ message: 'the thread of the session failed: no luck' }])
})

test('one that hangs is terminated', async () => {
  const text = `
    import { parentPort } from 'node:worker_threads'
    parentPort.postMessage('running')
    for (;;) {}`
  const { thread, messages, failures } = start(text)
  await expect.poll(() => messages, { timeout: 120_000 }).toEqual(['running'])
  await thread.waitFor(thread.exit, 1)
  expect(failures).toMatchObject([{ message: 'a worker thread ended unexpectedly with status 1' }])
})

test('one that was started before is taken once', async () => {
  const prestarted = new PrestartedThread<unknown, unknown>(program(echo))
  const thread = prestarted.take()
  expect(prestarted.take()).toBeUndefined()
  const messages: unknown[] = []
  thread?.watch({ onMessage: (message) => messages.push(message), onFailure: () => {} })
  thread?.post('first')
  await thread?.exit
  expect(messages).toEqual(['first', 'done'])
  await prestarted.close()
})

test('one that was started before and nobody takes is told to leave', async () => {
  const prestarted = new PrestartedThread<unknown, unknown>(program(echo))
  await prestarted.close()
  expect(prestarted.take()).toBeUndefined()
})

test('one that fails before it is taken is not handed out', async () => {
  const created = once(process, 'worker') as Promise<[Worker]>
  const prestarted = new PrestartedThread<unknown, unknown>(program('throw new Error("no luck")'))
  const [worker] = await created
  await new Promise((resolve) => worker.once('exit', resolve))
  expect(prestarted.take()).toBeUndefined()
})
