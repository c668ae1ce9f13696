import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client, type ClientConfig, type DatabaseError } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { poll } from '../../../helpers/poll.js'
import { mustRun, type ProgramResult, runProgram } from '../../../helpers/run-program.js'
import { copyByte } from './script-handler.js'
import { WireFixture } from './wire-fixture.js'

let fixture: WireFixture

beforeAll(async () => {
  fixture = await WireFixture.start()
})

afterEach(async () => {
  await fixture.quiet()
  if (fixture.closed.length !== fixture.handlers.length) throw new Error('a handler was not closed once')
})

afterAll(() => fixture.stop())

async function psql(command: string, more = 'replication=1'): Promise<ProgramResult> {
  const conninfo = `host=${fixture.socketDirectory} user=joe dbname=base ${more}`
  return await runProgram('psql', ['-X', '-A', conninfo, '-c', command])
}

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

describe('psql', () => {
  test.each([
    ['', ''],
    ['replication=1', '1'],
    ['replication=true', 'true'],
    ['replication=on', 'on'],
    ['replication=yes', 'yes'],
    ['replication=database', 'database'],
  ])('connects with "%s"', async (more, expected) => {
    const { status, stdout, stderr } = await psql('who', more)
    expect({ status, stderr, row: stdout.split('\n')[1] }).toEqual({
      status: 0,
      stderr: '',
      row: `joe|base|f|${expected}`,
    })
  })

  test('prints several results of one query, and notices', async () => {
    const { status, stdout, stderr } = await psql('rows=2 notice tag=1 rows=1')
    expect(stdout).toBe('n|t\n1|x\n2|xx\n(2 rows)\nTAG 1\nn|t\n1|x\n(1 row)\n')
    expect(stderr).toBe('WARNING:  beware\nDETAIL:  Of this.\nHINT:  Run.\n')
    expect(status).toBe(0)
  })

  test('shows an error with its place, after what came of a COPY', async () => {
    const { status, stdout, stderr } = await psql('half')
    expect({ status, stdout }).toEqual({ status: 1, stdout: 'half of it' })
    expect(stderr).toBe(
      'ERROR:  could not read file "x"\nLINE 1: half\n          ^\nDETAIL:  D.\nHINT:  H.\n',
    )
  })

  test('writes a COPY into a file, byte for byte', async () => {
    const bytes = 7_000_001
    await mkdir(join(fixture.socketDirectory, 'out'))
    const file = join(fixture.socketDirectory, 'out', 'copy')
    await mustRun('sh', [
      '-c',
      `psql -X "host=$0 user=joe replication=1" -c "$1" > "$2"`,
      fixture.socketDirectory,
      `copy=${String(bytes)}`,
      file,
    ])
    const written = await readFile(file)
    expect(written.length).toBe(bytes)
    expect(written.findIndex((byte, at) => byte !== copyByte(at))).toBe(-1)
  })

  test.each([
    ['', ''],
    [' ;\n; ', ''],
  ])('an empty query %j is answered as such', async (command, expected) => {
    const { status, stdout, stderr } = await psql(command)
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expected, stderr: '' })
  })

  test('what the handler did not foresee is told to us only', async () => {
    const { status, stderr } = await psql('bug')
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'ERROR:  internal error\nHINT:  The log of the server says more.\n',
    })
    expect(fixture.errors()).toContain('a secret of ours')
  })
})

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

async function running(): Promise<void> {
  await poll('a query to run', async () =>
    Promise.resolve(fixture.handlers.some(({ running }) => running > 0)),
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
        await running()
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
      await running()
      await cancel({ processID, secretKey: secretKey ^ 1 })
      await cancel({ processID: processID + 1, secretKey })
      expect(fixture.handlers.filter(({ running }) => running > 0)).toHaveLength(1)
      const granted = fixture.events.filter(({ type }) => type === 'cancel-request').slice(-2)
      expect(granted).toMatchObject([{ isGranted: false }, { isGranted: false }])
      await cancel({ processID, secretKey })
      expect(await failure).toMatchObject({ code: '57014' })
    })
  })

  test('between two queries do nothing', async () => {
    await withClient(async (client) => {
      await client.query('rows=1')
      await cancel(client as unknown as CancelKeys)
      expect((await client.query('rows=1')).rows).toHaveLength(1)
    })
  })
})
