import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { formatAddress } from '../../../src/transfer/agent/listen/listen-on-address.js'
import { MetricsServer } from '../../../src/transfer/agent/agent-metrics.js'

let server: MetricsServer

beforeEach(async () => {
  server = await MetricsServer.start({ host: '127.0.0.1', port: 0 }, () => 'all is well\n')
})

afterEach(() => server.close())

async function ask(path: string, method = 'GET'): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://${formatAddress(server.address)}${path}`, { method })
  return { status: response.status, text: await response.text() }
}

test('answers what Prometheus asks, and nothing else', async () => {
  expect(await ask('/metrics')).toEqual({ status: 200, text: 'all is well\n' })
  expect(await ask('/metrics', 'POST')).toMatchObject({ status: 405 })
  expect(await ask('/')).toMatchObject({ status: 404 })
})

test('answers however many connect and say nothing', async () => {
  const silent = Array.from({ length: 100 }, () =>
    connect(server.address.port, '127.0.0.1').on('error', () => {}),
  )
  await Promise.all(silent.map((socket) => once(socket, 'connect')))
  expect(await ask('/metrics')).toMatchObject({ status: 200 })
  for (const socket of silent) socket.destroy()
})
