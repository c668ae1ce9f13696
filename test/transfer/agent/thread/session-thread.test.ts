import { expect, test } from 'vitest'
import { SessionThread } from '../../../../src/transfer/agent/thread/session-thread.js'
import { startSessionThread } from '../../../../src/transfer/agent/thread/spare-threads.js'
import type { WireErrorData } from '../../../../src/transfer/agent/wire-error-data.js'

test('a thread that dies fails its command, and says so when there is none', async () => {
  const lost: WireErrorData[] = []
  const start = { dataDirectory: '/', server: undefined as never, fragmentDirectory: '/', isSpare: false }
  // Uncompiled, its file is not where it is looked for.
  const thread = new SessionThread(
    { take: () => startSessionThread(start), giveBack: async () => {} },
    { onStarted: () => {}, onLost: (error) => lost.push(error), onNotice: () => {} },
  )
  const command = {
    command: { command: 'LIST_FILES', tablespace: undefined },
    backup: undefined,
    worker: undefined,
  } as const
  const run = async (): Promise<unknown> => await thread.run(command, new AbortController().signal).next()
  const failure = {
    sqlstate: '58030',
    message: expect.stringMatching(/^the thread of the session failed: Cannot find module /),
  }
  await expect(run()).rejects.toMatchObject({ data: failure })
  await expect(run()).rejects.toMatchObject({ data: failure })
  expect(lost).toEqual([expect.objectContaining(failure)])
  expect(await thread.end('finish')).toMatchObject(failure)
})
