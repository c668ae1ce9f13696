import type { Socket } from 'node:net'
import type { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PbManifestError } from '../../../src/errors.js'
import { explainSilence, keepAlive } from '../../../src/transfer/connection/keep-alive.js'
import { DatabaseError } from '../../../src/transfer/connection/pg.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { poll } from '../../helpers/poll.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { AgentProgram } from '../agent/agent-program.js'
import { connectForReplication } from '../../helpers/replication-connection.js'

let cluster: Cluster
let agent: AgentProgram

beforeAll(async () => {
  cluster = await createCluster(await embeddedPostgres())
  agent = await AgentProgram.start(cluster)
})

afterAll(async () => {
  await agent.stop()
  await cluster.remove()
})

/** Waits until more was sent than there was, without a query of ours. */
async function untilSomethingIsSent(client: Client): Promise<void> {
  const stream = client.connection.stream as Socket
  const before = stream.bytesWritten
  await poll('traffic', () => Promise.resolve(stream.bytesWritten > before + 4))
}

test.each([
  ['a database server', () => cluster.client(), 'SELECT 1'],
  ['an agent', () => agent.connect(), 'IDENTIFY_CLUSTER'],
] as const)(
  'a connection to %s that has nothing to do carries something, and is as good as before',
  async (_what, connect, query) => {
    const client = await connect()
    keepAlive(client, 20)
    await untilSomethingIsSent(client)
    await untilSomethingIsSent(client)
    const { rows } = await client.query(query)
    expect(rows).toHaveLength(1)
    await client.end()
  },
)

test('so does one whose server is at work', async () => {
  const client = await cluster.client()
  keepAlive(client, 20)
  const locker = await cluster.client()
  await locker.query('SELECT pg_advisory_lock(1)')
  const waiting = client.query('SELECT pg_advisory_lock(1)')
  await untilSomethingIsSent(client)
  await untilSomethingIsSent(client)
  await locker.end()
  expect((await waiting).rows).toHaveLength(1)
  expect((await client.query('SELECT 1')).rows).toHaveLength(1)
  await client.end()
})

test('so does one for replication', async () => {
  const client = await connectForReplication(cluster)
  keepAlive(client, 20)
  await untilSomethingIsSent(client)
  await untilSomethingIsSent(client)
  expect((await client.query('IDENTIFY_SYSTEM')).rows).toHaveLength(1)
  await client.end()
})

test('the loss of a connection over which nothing had come for long is explained', () => {
  const loss = new PbManifestError('SERVER', 'lost the connection to the server')
  expect(explainSilence(loss, 1000)).toBe(loss)
  expect(explainSilence(loss, 312_000)).toMatchObject({
    message: 'lost the connection to the server',
    details: ['Nothing had come over this connection for 312 s.'],
    hint: 'A firewall, NAT, load balancer or proxy in between may cut connections that are idle.',
  })
  const reported = new PbManifestError('SERVER', 'x', { cause: new DatabaseError('x', 1, 'error') })
  expect(explainSilence(reported, 312_000)).toBe(reported)
})
