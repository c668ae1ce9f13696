import { describe, expect, test } from 'vitest'
import { PbManifestError } from '../../../src/errors.js'
import { LostConnections } from '../../../src/transfer/connection/lost-connection.js'
import { sqlError } from '../../../src/transfer/cluster-files/sql/sql-error.js'
import { anotherServer } from '../../../src/transfer/connection/gate/server-identity.js'
import { reportedError } from '../../../src/transfer/client/source/agent-connection.js'
import type { Report } from '../../../src/transfer/wire/protocol/backend-messages.js'
import { DatabaseError } from '../../../src/transfer/connection/pg.js'

function reported(code: string): PbManifestError {
  const error = new DatabaseError('as the server has it', 0, 'error')
  error.code = code
  return sqlError(error, 'somebody')
}

const reset = sqlError(new Error('read ECONNRESET'), 'somebody')
const { signal } = new AbortController()

async function renew(): Promise<void> {}

/** What became of a failure: how often it was connected, and what was thrown. */
async function outcome(
  failure: unknown,
  limit: number,
  ...attempts: readonly (Error | undefined)[]
): Promise<{ readonly connects: number; readonly told: readonly number[]; readonly thrown: unknown }> {
  const told: number[] = []
  let connects = 0
  const onReconnect = (_loss: PbManifestError, attempt: number): void => void told.push(attempt)
  const losses = new LostConnections({ limit, signal, onReconnect })
  const thrown = await losses
    .replace(failure, () => {
      const error = attempts[connects++]
      return error === undefined ? Promise.resolve() : Promise.reject(error)
    })
    .then(
      () => undefined,
      (error: unknown) => error,
    )
  return { connects, told, thrown }
}

describe('a failure', () => {
  test.each([
    ['of the network', reset],
    ['that an administrator made', reported('57P01')],
    ['for a session that was idle', reported('57P05')],
  ])('%s is the loss of a connection', async (_what, failure) => {
    expect(await outcome(failure, 3)).toEqual({ connects: 1, told: [1], thrown: undefined })
  })

  test.each([
    ['that the server reported', reported('42501')],
    [
      'that an agent reported',
      reportedError({ severity: 'FATAL', sqlstate: '57P01', message: 'shut down' } as Report),
    ],
    ['of ours', new PbManifestError('IO', 'could not write')],
    ['of somebody else', anotherServer('this', 'that')],
    ['that nobody meant', new TypeError('x')],
  ])('%s is none, and thrown as it is', async (_what, failure) => {
    expect(await outcome(failure, 3)).toEqual({ connects: 0, told: [], thrown: failure })
  })
})

test.each([
  ['another server', anotherServer('this', 'that')],
  ['a server that shuts down', reported('57P03')],
])('%s is final', async (_what, found) => {
  expect(await outcome(reset, 3, found)).toEqual({ connects: 1, told: [], thrown: found })
})

test('too many connections may pass: the one that was lost is still among them', async () => {
  expect(await outcome(reset, 3, reported('53300'))).toEqual({ connects: 2, told: [2], thrown: undefined })
})

test('after the last attempt, the loss is what is thrown', async () => {
  const { connects, thrown } = await outcome(reset, 1, reset)
  expect(connects).toBe(1)
  expect(thrown).toMatchObject({ message: reset.message, details: ['It was tried once to connect again.'] })
})

test('attempts are counted in a row: the work goes on in between', async () => {
  const losses = new LostConnections({ limit: 1, signal, onReconnect: () => {} })
  await losses.replace(reset, renew)
  losses.forget()
  await losses.replace(reset, renew)
  await expect(losses.replace(reset, renew)).rejects.toThrow(reset.message)
})
