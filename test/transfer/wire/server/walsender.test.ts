import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import {
  field,
  gssencRequest,
  PROTOCOL_3,
  query,
  RawClient,
  type RawMessage,
  sslRequest,
  startup,
  typed,
  untyped,
} from '../raw-client.js'
import { WireFixture } from './wire-fixture.js'

const replication = { user: 'postgres', replication: '1' }

/** What a client says, piece by piece; after each, up to which message it listens. */
type Script = readonly (readonly [bytes: Buffer, until: string])[]

const opening = [startup(replication), 'Z'] as const

const scripts: readonly (readonly [string, Script])[] = [
  ['a startup packet', [opening]],
  [
    'replication=on, and a name',
    [[startup({ ...replication, replication: 'on', application_name: 'me' }), 'Z']],
  ],
  ['a newer minor version', [[startup(replication, PROTOCOL_3 + 2), 'Z']]],
  ['an unknown option of the protocol', [[startup({ ...replication, '_pq_.x': '1' }), 'Z']]],
  ['protocol 4.1', [[startup(replication, (4 << 16) + 1), 'closed']]],
  ['no user', [[startup({ replication: '1' }), 'closed']]],
  ['an empty user', [[startup({ user: '', replication: '1' }), 'closed']]],
  ['replication=maybe', [[startup({ ...replication, replication: 'maybe' }), 'closed']]],
  ['parameters without an end', [[untyped(PROTOCOL_3, 'user\0postgres\0'), 'closed']]],
  ['bytes after the parameters', [[untyped(PROTOCOL_3, 'user\0postgres\0\0x\0'), 'closed']]],
  ['encryption declined twice', [[sslRequest, '1'], [gssencRequest, '1'], opening]],
  [
    'encryption asked for again',
    [
      [sslRequest, '1'],
      [sslRequest, 'closed'],
    ],
  ],
  ['an unknown type of message', [opening, [typed('y'), 'closed']]],
  ['a password that nobody asked for', [opening, [typed('p', 'secret\0'), 'closed']]],
  ['a query without its end', [opening, [typed('Q', 'x'), 'Z']]],
  ['a query with something after its end', [opening, [typed('Q', 'x\0y\0'), 'Z']]],
  [
    'an extended query',
    [opening, [Buffer.concat([typed('P', '\0x\0\0\0'), typed('B'), typed('E'), typed('S')]), 'Z']],
  ],
  ['a simple query before Sync', [opening, [Buffer.concat([typed('D'), query('SHOW x'), typed('S')]), 'Z']]],
  [
    'a wrong query before Sync',
    [opening, [Buffer.concat([typed('D'), typed('Q', 'no end'), typed('S')]), 'Z'], [typed('S'), 'Z']],
  ],
  ['a function call', [opening, [typed('F'), 'Z']]],
  [
    'data of a COPY that there is not',
    [opening, [Buffer.concat([typed('d', 'x'), typed('c'), typed('f'), typed('S')]), 'Z']],
  ],
  ['Flush and Sync', [opening, [Buffer.concat([typed('H'), typed('S')]), 'Z']]],
  ['Terminate', [opening, [typed('X'), 'closed']]],
  ['Terminate before Sync', [opening, [Buffer.concat([typed('P'), typed('X')]), 'closed']]],
]

describeWithDebianPostgres('answers as a real walsender does', (programs) => {
  let cluster: Cluster
  let fixture: WireFixture

  beforeAll(async () => {
    ;[cluster, fixture] = await Promise.all([createCluster(programs), WireFixture.start()])
  })

  afterAll(async () => {
    await Promise.all([cluster.remove(), fixture.stop()])
  })

  test.each(scripts)('%s', async (_, script) => {
    const real = await play(cluster.socketDirectory, script)
    const ours = await play(fixture.socketDirectory, script)
    expect(ours).toEqual(real)
    expect(real.length).toBeGreaterThan(0)
  })
})

/** Says all of it, and tells what was answered. */
async function play(directory: string, script: Script): Promise<string[]> {
  const client = await RawClient.connect({ path: join(directory, '.s.PGSQL.5432') })
  const answers: string[] = []
  for (const [bytes, until] of script) {
    client.send(bytes)
    if (until === '1') answers.push(await client.byte())
    else answers.push(...(await client.until(until)).map(describeMessage), `-> ${until}`)
  }
  client.socket.destroy()
  return answers
}

function describeMessage(message: RawMessage): string {
  const { type, payload } = message
  switch (type) {
    case 'E':
      return ['S', 'V', 'C', 'M', 'H'].map((letter) => `${letter}${field(message, letter) ?? ''}`).join(' ')
    case 'S':
      return describeParameter(payload)
    case 'K':
      return `K ${String(payload.length)}`
    default:
      return `${type} ${payload.toString('latin1')}`
  }
}

/** Their names, and the values that cannot differ. */
function describeParameter(payload: Buffer): string {
  const [name = '', value = ''] = payload.toString().split('\0')
  return /^(?:server_version|TimeZone|is_superuser|client_encoding|server_encoding)$/.test(name)
    ? `S ${name}`
    : `S ${name}=${value}`
}
