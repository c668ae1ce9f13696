import { join } from 'node:path'
import { Client, type ClientConfig, type DatabaseError } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { field, query, startup, typed, untyped } from '../raw-client.js'
import { WireFixture } from './wire-fixture.js'

let fixture: WireFixture

beforeAll(async () => {
  fixture = await WireFixture.start()
})

afterEach(async () => await fixture.requireClosed())

afterAll(() => fixture.stop())

async function withClient<Result>(
  use: (client: Client) => Promise<Result>,
  config: ClientConfig = {},
): Promise<Result> {
  const client = new Client({ host: fixture.socketDirectory, user: 'joe', database: 'base', ...config })
  client.on('error', () => {})
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

describe('pg', () => {
  test('gets the rows, their types, NULL and what is empty', async () => {
    await withClient(async (client) => {
      const { rows } = await client.query<{ n: string; t: string }>('rows=20000')
      expect(rows).toHaveLength(20_000)
      expect(rows[19_998]).toEqual({ n: '19999', t: 'x'.repeat(99) })
      expect((await client.query('who')).rows).toEqual([
        { user: 'joe', db: 'base', tls: false, replication: null },
      ])
      expect((await client.query('bytes')).rows).toEqual([{ text: 'bytes' }, { text: null }, { text: '' }])
    })
  })

  test('text goes through both ways', async () => {
    await withClient(async (client) => {
      const text = `bytes 'ümläut' '\u{1f600}'`
      expect((await client.query(text)).rows[0]).toEqual({ text })
    })
  })

  test('a session goes on after an error of any kind', async () => {
    await withClient(async (client) => {
      for (const [command, code] of [
        ['half', '58030'],
        ['bug', 'XX000'],
        ['open', 'XX000'],
        ['late', 'XX000'],
        ['nothing', 'XX000'],
      ] as const) {
        const failure = await client.query(command).catch((error: DatabaseError) => error)
        expect({ command, failure }).toMatchObject({ failure: { code } })
        expect((await client.query('rows=1')).rows).toHaveLength(1)
      }
    })
    expect(fixture.closed.at(-1)).toBe('terminated')
  })

  test('the extended protocol is refused, and the session goes on', async () => {
    await withClient(async (client) => {
      const failure = client.query('rows=$1', [1])
      await expect(failure).rejects.toMatchObject({
        code: '08P01',
        message: 'extended query protocol not supported in a replication connection',
      })
      expect((await client.query('rows=1')).rows).toHaveLength(1)
    })
  })

  test('a FATAL error ends the connection', async () => {
    const client = new Client({ host: fixture.socketDirectory, user: 'joe' })
    const ended = new Promise<void>((resolve) => client.on('end', resolve))
    client.on('error', () => {})
    await client.connect()
    await expect(client.query('fatal')).rejects.toMatchObject({ severity: 'FATAL', code: '57P01' })
    await ended
    await fixture.quiet()
    expect(fixture.closed.at(-1)).toBe('lost')
  })
})

/** `pg` has no public way to ask for it; these fields are what its `Client.cancel` sends. */
interface CancelKeys {
  processID: number
  secretKey: number
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => 'none',
    (error: unknown) => error,
  )
}

async function cancel({ processID, secretKey }: CancelKeys): Promise<void> {
  const canceller = new Client({ host: fixture.socketDirectory, user: 'joe' })
  const { connection } = canceller as unknown as {
    connection: NodeJS.EventEmitter & {
      connect(path: string): void
      cancel(processID: number, secretKey: number): void
    }
  }
  await new Promise<void>((resolve) => {
    connection.on('error', () => {})
    connection.on('connect', () => connection.cancel(processID, secretKey))
    connection.on('end', resolve)
    connection.connect(join(fixture.socketDirectory, '.s.PGSQL.5432'))
  })
}

describe('cancel requests', () => {
  test('ends the query that runs, and no other', async () => {
    await withClient(async (other) => {
      await withClient(async (client) => {
        const failure = failureOf(client.query('wait'))
        const bystander = failureOf(other.query('wait'))
        await fixture.running()
        await cancel(client as unknown as CancelKeys)
        expect(await failure).toMatchObject({
          code: '57014',
          message: 'canceling statement due to user request',
        })
        expect((await client.query('rows=1')).rows).toHaveLength(1)
        expect(fixture.handlers.filter(({ running }) => running > 0)).toHaveLength(1)
        await cancel(other as unknown as CancelKeys)
        expect(await bystander).toMatchObject({ code: '57014' })
      })
    })
  })

  test('with a wrong secret or for nobody do nothing', async () => {
    await withClient(async (client) => {
      const { processID, secretKey } = client as unknown as CancelKeys
      const failure = failureOf(client.query('wait'))
      await fixture.running()
      await cancel({ processID, secretKey: secretKey ^ 1 })
      await cancel({ processID: processID + 1, secretKey })
      expect(fixture.handlers.filter(({ running }) => running > 0)).toHaveLength(1)
      const granted = fixture.events.filter(({ type }) => type === 'cancel-request').slice(-2)
      expect(granted).toMatchObject([{ isGranted: false }, { isGranted: false }])
      await cancel({ processID, secretKey })
      expect(await failure).toMatchObject({ code: '57014' })
    })
  })

  test('end rows that come without end', async () => {
    const client = await fixture.connect()
    client.send(startup({ user: 'joe' }))
    const key = (await client.until('Z')).find(({ type }) => type === 'K')?.payload ?? Buffer.alloc(8)
    client.send(query('rows=99999999'))
    await client.until('D')
    const canceller = await fixture.connect()
    await canceller.send(untyped(80877102, key)).untilClosed()
    expect(
      field(
        (await client.until('Z')).find(({ type }) => type === 'E'),
        'C',
      ),
    ).toBe('57014')
    client.send(typed('X'))
    await client.untilClosed()
    // Whom it belonged to is gone.
    const late = await fixture.connect()
    await late.send(untyped(80877102, key)).untilClosed()
    const requests = fixture.events.filter(({ type }) => type === 'cancel-request').slice(-2)
    expect(requests).toMatchObject([{ isGranted: true }, { isGranted: false }])
  })

  test('between two queries do nothing', async () => {
    await withClient(async (client) => {
      await client.query('rows=1')
      await cancel(client as unknown as CancelKeys)
      expect((await client.query('rows=1')).rows).toHaveLength(1)
    })
  })
})
