import { randomInt, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chownSync } from 'node:fs'
import { appendFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connect, type ConnectMode } from '../../../src/transfer/connection/connect.js'
import { isPasswordMissing } from '../../../src/transfer/connection/connection-failure.js'
import { formatScramVerifier, makeScramVerifier } from '../../helpers/scram-verifiers.js'
import { appendSettings, type Cluster, createCluster } from '../../helpers/cluster.js'
import { createStandby } from '../../helpers/standby.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { mustRun } from '../../helpers/run-program.js'
import { resolve } from './settings/resolve.js'

// An address of the loopback network that no other server has, so that the port may be everybody's.
const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(2, 255)}`

// Such a socket is in no directory, but one for the whole system.
const abstractName = `pbmanifest-${randomUUID()}`

function tcp(more: string): string {
  return `host=${address} dbname=postgres user=tester password='se cret' ${more}`
}

async function rejectionOf(conninfo: string, mode: ConnectMode = {}): Promise<Error & { details: string[] }> {
  const result = await open(conninfo, mode).catch((error: unknown) => error)
  if (result instanceof Error) return result as Error & { details: string[] }
  throw new Error('it connected')
}

function open(conninfo: string, mode: ConnectMode = {}): Promise<Client> {
  return connect(resolve({ conninfo }).options, mode)
}

async function rowOf(conninfo: string, sql: string, mode: ConnectMode = {}): Promise<object> {
  const client = await open(conninfo, mode)
  try {
    return (await client.query<object>(sql)).rows[0] ?? {}
  } finally {
    await client.end()
  }
}

const isEncrypted = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'

describeWithDebianPostgres('connections to a real server', (programs) => {
  let cluster: Cluster
  let certificates: string

  beforeAll(async () => {
    cluster = await createCluster(programs, {
      settings: { listen_addresses: address, password_encryption: 'scram-sha-256' },
    })
    certificates = await cluster.makeDirectory('certificates')
    await makeCertificates(cluster, certificates)
    await cluster.sql("CREATE ROLE tester LOGIN REPLICATION PASSWORD 'se cret'")
    await cluster.sql('CREATE ROLE limited LOGIN CONNECTION LIMIT 0; CREATE ROLE certified LOGIN')
    await cluster.sql(
      "CREATE ROLE elsewhere LOGIN PASSWORD 'se cret'; CREATE ROLE secluded LOGIN PASSWORD 'se cret'",
    )
    await cluster.sql('CREATE DATABASE secluded')
    const many = formatScramVerifier(await makeScramVerifier('se cret', undefined, 600_000))
    await cluster.sql(`CREATE ROLE careful LOGIN PASSWORD '${many}'; CREATE ROLE kerberos LOGIN`)
    await cluster.sql('CREATE DATABASE plain')
    await appendSettings(cluster, {
      unix_socket_directories: `${cluster.socketDirectory}, @${abstractName}`,
      ssl: true,
      ssl_cert_file: `${certificates}/server.crt`,
      ssl_key_file: `${certificates}/server.key`,
      ssl_ca_file: `${certificates}/root.crt`,
    })
    await writeFile(
      join(cluster.dataDirectory, 'pg_hba.conf'),
      [
        'local all postgres trust',
        'local all limited trust',
        'local all all scram-sha-256',
        'local replication postgres trust',
        'local replication all scram-sha-256',
        'host template1 elsewhere all scram-sha-256',
        'host all elsewhere all reject',
        'host secluded secluded all scram-sha-256',
        'host all secluded,nowhere all reject',
        'hostnossl plain all all trust',
        'hostssl plain all all reject',
        'hostssl template1 all all trust',
        'hostnossl template1 all all reject',
        'hostssl all certified all cert',
        'hostnossl all kerberos all gss',
        'host all all all scram-sha-256',
        'host replication all all scram-sha-256',
      ].join('\n'),
    )
    await cluster.restart()
  })

  afterAll(() => cluster.remove())

  const socket = (more: string): string => `host=${cluster.socketDirectory} dbname=postgres ${more}`

  test('a password by SCRAM, and the name that monitoring sees', async () => {
    const row = await rowOf(
      socket(`user=tester password='se cret'`),
      `SELECT current_user::text, current_setting('application_name') AS name`,
    )
    expect(row).toEqual({ current_user: 'tester', name: 'pbmanifest' })
  })

  test('a password from the password file, for SQL and for replication', async () => {
    const passfile = join(cluster.scratch.path, 'passfile')
    await writeFile(passfile, `*:*:postgres:tester:se cret\n*:*:replication:tester:wrong\n`, { mode: 0o600 })
    const conninfo = socket(`user=tester passfile=${passfile}`)
    expect(await rowOf(conninfo, 'SELECT 1 AS one')).toEqual({ one: 1 })
    expect((await rejectionOf(conninfo, { replication: 'true' })).message).toContain(
      'password authentication failed',
    )
    await writeFile(passfile, '*:*:replication:tester:se cret\n')
    const row = await rowOf(conninfo, 'IDENTIFY_SYSTEM', { replication: 'true' })
    expect(row).toMatchObject({ timeline: 1 })
  })

  test.each(['true', 'database'] as const)(
    'replication=%s takes replication commands',
    async (replication) => {
      const row = await rowOf(socket('user=postgres'), 'SHOW wal_segment_size', { replication })
      expect(row).toEqual({ wal_segment_size: '16MB' })
    },
  )

  test('settings of the session and a wait for a connection that is long enough', async () => {
    const conninfo = socket(`user=postgres options='-c work_mem=77kB' connect_timeout=30`)
    expect(await rowOf(conninfo, 'SHOW work_mem')).toEqual({ work_mem: '77kB' })
  })

  test('a verifier with as many iterations as PostgreSQL 16 lets one choose', async () => {
    const row = await rowOf(tcp(`user=careful`), 'SELECT current_user::text')
    expect(row).toEqual({ current_user: 'careful' })
  })

  test('a method that we do not have', async () => {
    expect(await rejectionOf(tcp('user=kerberos sslmode=disable'))).toMatchObject({
      code: 'SERVER',
      message: `connection to server at "${address}", port 5432 failed: GSSAPI authentication not supported`,
      hint: expect.stringContaining('pg_hba.conf'),
    })
  })

  test('a socket in the abstract namespace', async () => {
    const conninfo = `host=@${abstractName} user=postgres dbname=postgres`
    const found = await rowOf(conninfo, 'SELECT inet_server_port() AS port').catch(String)
    const isNew = Number(process.versions.node.split('.', 1)[0]) >= 22
    expect(JSON.stringify(found)).toContain(isNew ? '{"port":null}' : 'need Node 22 or newer')
    expect((await rejectionOf(`host=@none-${abstractName} dbname=postgres`)).message).toContain(
      `connection to server on socket "@none-${abstractName}/.s.PGSQL.5432" failed: `,
    )
  })

  // pg_hba.conf may let a role into one database only.
  test.each([
    { user: 'tester', database: 'postgres' },
    { user: 'elsewhere', database: 'template1' },
    { user: 'secluded', database: 'secluded' },
  ])('without the name of a database, user $user gets into "$database"', async ({ user, database }) => {
    const conninfo = `host=${address} user=${user} password='se cret'`
    expect(await rowOf(conninfo, 'SELECT current_database()')).toEqual({ current_database: database })
  })

  test('without the name of a database, and let into none, each that was tried is named', async () => {
    const { message, details } = await rejectionOf(`host=${address} user=nowhere sslmode=disable`)
    const tried = [message, ...details].flatMap((line) => /database "([^"]*)"/.exec(line)?.[1] ?? [])
    expect(tried).toEqual(['nowhere', 'template1', 'postgres'])
  })

  test('of a password file, the password is that for the database it ends up in', async () => {
    const passfile = join(cluster.scratch.path, 'passfile-fallback')
    await writeFile(passfile, `*:*:template1:elsewhere:se cret\n*:*:postgres:elsewhere:x\n`, { mode: 0o600 })
    const conninfo = `host=${address} user=elsewhere passfile=${passfile}`
    expect(await rowOf(conninfo, 'SELECT current_database()')).toEqual({ current_database: 'template1' })
  })

  test('a wrong password', async () => {
    const error = await rejectionOf(socket(`user=tester password=no-se-cret`))
    expect(error).toMatchObject({
      code: 'SERVER',
      message: `connection to server on socket "${cluster.socketDirectory}/.s.PGSQL.5432" failed: FATAL:  password authentication failed for user "tester"`,
    })
    expect(isPasswordMissing(error)).toBe(false)
  })

  test('no password where one is needed', async () => {
    const error = await rejectionOf(socket('user=tester'))
    expect(error.message).toMatch(/failed: fe_sendauth: no password supplied$/)
    expect(isPasswordMissing(error)).toBe(true)
  })

  test.each([
    ['user=nobody-here password=x', /FATAL: {2}password authentication failed for user "nobody-here"$/],
    ['user=postgres dbname=none', /FATAL: {2}database "none" does not exist$/],
    ['user=limited', /FATAL: {2}too many connections for role "limited"$/],
    ['user=postgres port=5433', /\.s\.PGSQL\.5433" failed: No such file or directory$/],
  ])('%s', async (more, message) => {
    expect((await rejectionOf(socket(more))).message).toMatch(message)
  })

  test('nobody listens, then the next host', async () => {
    expect((await rejectionOf(`host=${address} port=1`)).message).toBe(
      `connection to server at "${address}", port 1 failed: Connection refused`,
    )
    const both = `host=${address},${cluster.socketDirectory} port=1,5432 user=postgres dbname=postgres`
    expect(await rowOf(both, 'SELECT 1 AS one')).toEqual({ one: 1 })
    const { message, details } = await rejectionOf(`host=${address},${address} port=1,2`)
    expect([message, ...details]).toEqual([
      `connection to server at "${address}", port 1 failed: Connection refused`,
      `connection to server at "${address}", port 2 failed: Connection refused`,
    ])
  })

  test('a name that nobody knows', async () => {
    expect((await rejectionOf('host=no-such-host.invalid')).message).toMatch(
      /^connection to server at "no-such-host.invalid", port 5432 failed: could not translate host name to address: /,
    )
  })

  test.each([
    ['a socket', () => socket('user=postgres')],
    ['TCP', () => tcp('sslmode=disable')],
    ['TLS', () => tcp('sslmode=require')],
  ])('over %s, what the server said is heard after a write that failed, too', async (_what, conninfo) => {
    const client = await open(conninfo())
    const errors: Error[] = []
    client.on('error', (error) => errors.push(error))
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const { stream } = client.connection
    const isClosed = once(stream, 'close').catch(() => {})
    stream.pause()
    await cluster.sql(`SELECT pg_terminate_backend(${rows[0]?.pid ?? 0}, 60000)`)
    // By TCP, it is the first write that tells the system that nobody reads, and a later one that tells us.
    for (let write = 0; write < 10; write++) {
      client.connection.flush()
      await setImmediate()
    }
    stream.resume()
    await isClosed
    expect(errors[0]).toMatchObject({
      code: '57P01',
      message: 'terminating connection due to administrator command',
    })
  })

  describe('TLS', () => {
    test.each<{ more: string; ssl: boolean }>([
      { more: 'sslmode=disable', ssl: false },
      { more: 'sslmode=allow', ssl: false },
      { more: 'sslmode=prefer', ssl: true },
      { more: '', ssl: true },
      { more: 'sslmode=require', ssl: true },
      { more: 'sslmode=verify-ca sslrootcert=CERTIFICATES/root.crt', ssl: true },
      {
        more: `sslmode=verify-full sslrootcert=CERTIFICATES/root.crt host=db.test hostaddr=${address}`,
        ssl: true,
      },
      { more: 'sslmode=require channel_binding=disable', ssl: true },
      { more: 'sslmode=require channel_binding=require require_auth=scram-sha-256', ssl: true },
      // What pg_hba.conf refuses in one way is tried in the other.
      { more: 'sslmode=prefer dbname=plain', ssl: false },
      { more: 'sslmode=allow dbname=template1', ssl: true },
    ])('$more: encrypted $ssl', async ({ more, ssl }) => {
      const row = await rowOf(tcp(more.replace('CERTIFICATES', certificates)), isEncrypted)
      expect(row).toEqual({ ssl })
    })

    test.each([
      ['sslmode=verify-full', 'other.test', "Hostname/IP does not match certificate's altnames"],
      ['sslmode=verify-ca sslrootcert=CERTIFICATES/other.crt', 'db.test', 'self-signed certificate'],
      // libpq uses a root certificate also where it does not insist on one.
      ['sslmode=require sslrootcert=CERTIFICATES/other.crt', 'db.test', 'self-signed certificate'],
    ])('%s for %s is refused: %s', async (mode, host, expected) => {
      const conninfo = `sslrootcert=${certificates}/root.crt ${mode.replace('CERTIFICATES', certificates)}`
      const { message } = await rejectionOf(tcp(`${conninfo} host=${host} hostaddr=${address}`))
      expect(message).toContain(`connection to server at "${host}" (${address}), port 5432 failed: `)
      expect(message).toContain(expected)
    })

    test('a client certificate takes the place of a password', async () => {
      const conninfo = `host=${address} dbname=postgres user=certified`
      const own = `sslcert=${certificates}/client.crt sslkey=${certificates}/client.key`
      expect(await rowOf(`${conninfo} ${own}`, isEncrypted)).toEqual({ ssl: true })
      expect((await rejectionOf(`${conninfo} ${own} channel_binding=require`)).message).toContain(
        'channel binding required, but server authenticated client without channel binding',
      )
      expect((await rejectionOf(`${conninfo} sslmode=require`)).message).toContain(
        'connection requires a valid client certificate',
      )
    })
  })

  test('the kind of server that is wanted is found among several', async () => {
    const standby = await createStandby(cluster, { listen_addresses: '' })
    try {
      const hosts = `host=${cluster.socketDirectory},${standby.socketDirectory} user=postgres dbname=postgres`
      const sql = 'SELECT pg_is_in_recovery() AS standby'
      for (const [attributes, expected] of [
        ['any', false],
        ['primary', false],
        ['read-write', false],
        ['standby', true],
        ['prefer-standby', true],
        ['read-only', true],
      ] as const) {
        const row = await rowOf(`${hosts} target_session_attrs=${attributes}`, sql)
        expect({ attributes, ...row }).toEqual({ attributes, standby: expected })
      }
      const replica = `host=${standby.socketDirectory} user=postgres target_session_attrs=primary`
      expect((await rejectionOf(replica, { replication: 'true' })).message).toMatch(
        /failed: session is not primary$/,
      )
    } finally {
      await standby.remove()
    }
  })
})

describe('a server that does not answer', () => {
  let server: Server
  let port: number

  beforeAll(async () => {
    server = createServer(() => {})
    await new Promise<void>((done) => server.listen(0, address, done))
    port = (server.address() as { port: number }).port
  })

  afterAll(() => {
    server.close()
  })

  test('is given up after connect_timeout', async () => {
    const { message } = await rejectionOf(`host=${address} port=${port} connect_timeout=1`)
    expect(message).toBe(`connection to server at "${address}", port ${port} failed: timeout expired`)
  })

  test('is left when the signal fires', async () => {
    const aborting = new AbortController()
    const connecting = open(`host=${address} port=${port}`, { signal: aborting.signal })
    server.once('connection', () => aborting.abort())
    await expect(connecting).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

test('a server that hangs up', async () => {
  const server = createServer((connection) => connection.destroy())
  await new Promise<void>((done) => server.listen(0, address, done))
  const { port } = server.address() as { port: number }
  const { message } = await rejectionOf(`host=${address} port=${port} sslmode=disable`)
  expect(message).toMatch(/failed: (server closed the connection unexpectedly|Connection reset by peer)$/)
  server.close()
})

/** A root that signs a server's certificate (`db.test`) and a client's (`certified`), and one that signs nothing. */
async function makeCertificates(cluster: Cluster, directory: string): Promise<void> {
  const openssl = (...args: readonly string[]) => mustRun('openssl', args, { cwd: directory })
  const signing = ['x509', '-req', '-days', '2', '-CA', 'root.crt', '-CAkey', 'root.key', '-CAcreateserial']
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  for (const name of ['root', 'other']) {
    await openssl(
      'req',
      '-x509',
      ...key,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`,
    )
  }
  for (const [name, subject] of [
    ['server', 'db.test'],
    ['client', 'certified'],
  ] as const) {
    await openssl('req', ...key, '-subj', `/CN=${subject}`, '-keyout', `${name}.key`, '-out', `${name}.csr`)
    await appendFile(join(directory, `${name}.ext`), `subjectAltName=DNS:${subject}\n`)
    await openssl(...signing, '-in', `${name}.csr`, '-extfile', `${name}.ext`, '-out', `${name}.crt`)
    await mustRun('chmod', ['0600', join(directory, `${name}.key`)])
  }
  const { user } = cluster
  if (user !== undefined) {
    chownSync(join(directory, 'server.key'), user.uid, user.gid)
    chownSync(join(directory, 'server.crt'), user.uid, user.gid)
  }
}
