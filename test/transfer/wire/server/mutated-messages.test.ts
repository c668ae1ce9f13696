import { randomInt } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ScramUsers } from '../../../../src/transfer/wire/scram/scram-users.js'
import { makeScramVerifier } from '../../../helpers/scram-verifiers.js'
import { poll } from '../../../helpers/poll.js'
import { mustRun } from '../../../helpers/run-program.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'
import {
  gssencRequest,
  PROTOCOL_3,
  query,
  RawClient,
  sslRequest,
  startup,
  typed,
  untyped,
} from '../raw-client.js'
import { Mutator } from './mutator.js'
import { WireFixture } from './wire-fixture.js'

const MESSAGES = 10_000
/** A count that was mutated could make a query last for seconds, and the next one too. */
const MAX_COUNT = 100_000
/** Clients at once. */
const CLIENTS = 8

const user = startup({ user: 'joe', database: 'base', replication: '1', application_name: 'x' })

const startups = [
  user,
  startup({ user: 'joe', '_pq_.x': '1' }, PROTOCOL_3 + 2),
  sslRequest,
  gssencRequest,
  untyped(80877102, Buffer.from('0000000112345678', 'hex')),
]

const messages = [
  query('rows=3'),
  query('copy=5000'),
  query('half'),
  query('notice tag=1 bytes'),
  typed('P', '\0SELECT 1\0\0\0'),
  typed('B', '\0\0\0\0\0\0\0\0'),
  typed('D', 'P\0'),
  typed('E', '\0\0\0\0\0'),
  typed('S'),
  typed('H'),
  typed('C', 'S\0'),
  typed('F', '\0\0\0\x01'),
  typed('d', 'data'),
  typed('c'),
  typed('f', 'why\0'),
]

const saslFirst = typed('p', 'SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd')
const sasl = [saslFirst, typed('p', `c=biws,r=abcd,p=${Buffer.alloc(32).toString('base64')}`)]
const clientHello = Buffer.from('160301004a010000460303', 'hex')

test(`${String(MESSAGES)} mutated messages do no harm`, async () => {
  const seed = Number(process.env['PBMANIFEST_SEED'] ?? randomInt(2 ** 31))
  process.stdout.write(`mutated messages: PBMANIFEST_SEED=${String(seed)}\n`)
  const mutator = new Mutator(seed)
  const handlesBefore = openHandles()
  const servers = [await startTrusting(), await startStrict()] as const

  let sent = 0
  const attack = async (): Promise<void> => {
    while (sent < MESSAGES) {
      const server = mutator.pick(servers)
      const conversation = makeConversation(mutator, server === servers[1])
      sent += conversation.mutated
      await converse(server, conversation)
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, attack))

  for (const server of servers) {
    await server.quiet()
    expect({ seed, faults: faultsOf(server) }).toEqual({ seed, faults: [] })
    expect({ seed, closed: server.closed.length }).toEqual({ seed, closed: server.handlers.length })
  }
  const [trusting] = servers
  expect(trusting.handlers.reduce((queries, handler) => queries + handler.queries.length, 0)).toBeGreaterThan(
    100,
  )
  const client = await trusting.connect()
  await client.send(user).until('Z')
  expect((await client.send(query('tag=1'), typed('X')).untilClosed()).map(({ type }) => type)).toEqual([
    'C',
    'Z',
  ])
  await Promise.all(servers.map((server) => server.stop()))
  await poll('all handles to be closed', async () => Promise.resolve(openHandles() <= handlesBefore))
})

async function startTrusting(): Promise<WireFixture> {
  return await WireFixture.start({ limits: { maxMessageBytes: 10_000 }, maxCount: MAX_COUNT })
}

async function startStrict(): Promise<WireFixture> {
  const scratch = createScratchDirectory()
  const [key, cert] = [join(scratch.path, 'key'), join(scratch.path, 'crt')]
  const request = [
    'req',
    '-x509',
    '-nodes',
    '-subj',
    '/CN=x',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
  ]
  await mustRun('openssl', [...request, '-keyout', key, '-out', cert])
  const context = createSecureContext({ key: readFileSync(key), cert: readFileSync(cert) })
  scratch.remove()
  const users = new ScramUsers(new Map([['joe', await makeScramVerifier('x', Buffer.alloc(16), 1)]]))
  return await WireFixture.start({
    maxCount: MAX_COUNT,
    access: { authentication: { method: 'scram-sha-256', users }, tls: { context, isRequired: false } },
  })
}

interface Conversation {
  readonly bytes: readonly Buffer[]
  /** How many of them are mutated. */
  readonly mutated: number
  /** Whether the server is sure to read all of it, and to hang up then. */
  readonly isComplete: boolean
}

function one(...bytes: readonly Buffer[]): Conversation {
  return { bytes, mutated: 1, isComplete: false }
}

/** Right messages up to some point, then wrong ones. */
function makeConversation(mutator: Mutator, isStrict: boolean): Conversation {
  const kind = mutator.below(10)
  if (kind === 0) return one(mutator.mutate(mutator.pick(startups)))
  if (isStrict && kind === 1) return one(sslRequest, mutator.mutate(clientHello))
  if (isStrict && kind < 5) return one(user, mutator.mutate(saslFirst))
  if (isStrict) return one(user, saslFirst, mutator.mutatePayload(mutator.pick(sasl)))
  if (kind < 5) return one(user, mutator.mutate(mutator.pick(messages)))
  const wrong = Array.from({ length: 5 + mutator.below(20) }, () =>
    mutator.mutatePayload(mutator.pick(mutator.below(10) === 0 ? sasl : messages)),
  )
  return { bytes: [user, ...wrong, typed('X')], mutated: wrong.length, isComplete: true }
}

/** Says it all, and waits for the end, reading whatever comes. */
async function converse(server: WireFixture, { bytes, isComplete }: Conversation): Promise<void> {
  const client = await RawClient.connect({ host: '127.0.0.1', port: server.port })
  for (const piece of bytes) {
    client.send(piece)
    if (piece === sslRequest) await client.byte()
  }
  if (!isComplete) client.socket.end()
  await client.drained()
}

/** What went wrong on our side, but for queries that were damaged into ones that the handler does not answer. */
function faultsOf({ events }: WireFixture): unknown[] {
  return events.flatMap((event) =>
    event.type === 'internal-error' && !String(event.error).startsWith('Error: a reply must be complete')
      ? [event.error]
      : [],
  )
}

function openHandles(): number {
  return process.getActiveResourcesInfo().filter((name) => /^(?:TCP|Pipe|TLS|Timeout)/.test(name)).length
}
