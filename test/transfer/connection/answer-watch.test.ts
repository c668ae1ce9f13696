import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import { AnswerWatch, expectAnswer } from '../../../src/transfer/connection/answer-watch.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'

const scratch = createScratchDirectory()
const server = createServer()
let socket: Socket

beforeEach(async () => {
  server.listen(join(scratch.path, 'socket'))
  await once(server, 'listening')
  socket = connect(join(scratch.path, 'socket'))
  await once(socket, 'connect')
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  AnswerWatch.start(socket, 60)
})

afterEach(() => {
  vi.useRealTimers()
  socket.destroy()
  server.close()
})

afterAll(() => scratch.remove())

test('a connection that is lost while an answer is due is watched no more', async () => {
  const release = expectAnswer(socket)
  expect(vi.getTimerCount()).toBe(1)
  socket.destroy()
  await once(socket, 'close')
  expect(vi.getTimerCount()).toBe(0)
  release()
})

test('neither is one that was lost before', async () => {
  socket.destroy()
  await once(socket, 'close')
  expectAnswer(socket)
  expect(vi.getTimerCount()).toBe(0)
})
