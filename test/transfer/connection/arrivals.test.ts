import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Arrivals, flowOf, ReusingSocket } from '../../../src/transfer/connection/arrivals.js'
import { poll } from '../../helpers/poll.js'

const MANY = 8 * 1024 * 1024

/** No two pieces of it that could be taken for each other are the same. */
const bytes = Buffer.from(Uint32Array.from({ length: MANY / 4 }, (_, index) => index).buffer)

let server: Server
let there: Socket
let here: ReusingSocket
let arrivals: Arrivals<Buffer>

beforeEach(async () => {
  server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  here = new ReusingSocket()
  const accepted = once(server, 'connection')
  here.connect((server.address() as { port: number }).port, '127.0.0.1')
  ;[there] = (await accepted) as [Socket]
  arrivals = new Arrivals(flowOf(here))
  here.reuse()
  here.on('data', (chunk: Buffer) => {
    arrivals.push(chunk, chunk.length)
    arrivals.endChunk()
  })
  here.on('end', () => arrivals.end())
})

afterEach(() => {
  here.destroy()
  there.destroy()
  server.close()
})

test('what is taken slowly arrives unharmed, and the other side waits meanwhile', async () => {
  there.end(bytes)
  await poll('bytes to arrive', async () => here.bytesRead > 0)
  // At each turn, a socket that reads on would read more.
  for (let turn = 0; turn < 200; turn++) await setImmediate()
  expect(here.bytesRead).toBeLessThan(MANY / 2)
  const hash = createHash('sha256')
  for await (const chunks of arrivals.batches(undefined)) {
    await setImmediate()
    for (const chunk of chunks) hash.update(chunk)
  }
  expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'))
})

test('who leaves early does not keep the connection from reading on', async () => {
  there.write(bytes)
  for await (const chunks of arrivals.batches(undefined)) {
    expect(chunks.length).toBeGreaterThan(0)
    break
  }
  await poll('all bytes to be read', () => Promise.resolve(here.bytesRead === MANY))
  arrivals = new Arrivals(flowOf(here))
  there.end('the next answer')
  const texts: string[] = []
  for await (const chunks of arrivals.batches(undefined)) texts.push(chunks.join(''))
  expect(texts.join('')).toBe('the next answer')
})

test('what came before a failure is still given, and only the first failure counts', async () => {
  there.write('some')
  await poll('bytes to arrive', () => Promise.resolve(here.bytesRead === 4))
  arrivals.fail(new Error('the reason'))
  arrivals.fail(new Error('connection closed'))
  const batches = arrivals.batches(undefined)
  expect(((await batches.next()).value as Buffer[]).join('')).toBe('some')
  await expect(batches.next()).rejects.toThrow('the reason')
})

test('a signal ends the waiting', async () => {
  const stop = new AbortController()
  const waiting = arrivals.batches(stop.signal).next()
  stop.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' })
})
