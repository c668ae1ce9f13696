import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext, type SecureContext } from 'node:tls'
import { Client, type ClientConfig } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readTlsFiles } from '../../../../src/transfer/agent/listen/read-tls-files.js'
import { ScramUsers } from '../../../../src/transfer/wire/scram/scram-users.js'
import { makeScramVerifier } from '../../../helpers/scram-verifiers.js'
import type { WireAccess } from '../../../../src/transfer/wire/server/authenticate.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { mustRun, runProgram } from '../../../helpers/run-program.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'
import { makeCertificate } from '../../agent/make-certificate.js'
import { connectBreakableTls } from '../breakable-tls.js'
import { field, query, RawClient, sslRequest, startup } from '../raw-client.js'
import { OpensslClient } from './openssl-client.js'
import { WireFixture } from './wire-fixture.js'

const certificates = createScratchDirectory()
let users: ScramUsers

beforeAll(async () => {
  users = new ScramUsers(new Map([['joe', await makeScramVerifier('se cret ü')]]))
})

afterAll(() => certificates.remove())

async function withServer(access: WireAccess, use: (fixture: WireFixture) => Promise<void>): Promise<void> {
  const fixture = await WireFixture.start({ access })
  try {
    await use(fixture)
  } finally {
    await fixture.stop()
  }
}

async function makeAccess(isRequired: boolean, key: readonly string[]): Promise<WireAccess> {
  const name = key.join('').replaceAll(/\W/g, '')
  const file = (extension: string): string => join(certificates.path, `${name}.${extension}`)
  const request = ['req', '-x509', '-nodes', '-days', '2', '-subj', '/CN=localhost', ...key]
  const names = ['-addext', 'subjectAltName=DNS:localhost']
  await mustRun('openssl', [...request, ...names, '-keyout', file('key'), '-out', file('crt')])
  const context = createSecureContext({ key: readFileSync(file('key')), cert: readFileSync(file('crt')) })
  return { authentication: { method: 'scram-sha-256', users }, tls: { context, isRequired } }
}

const ecdsa = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']

async function connectAs(fixture: WireFixture, config: ClientConfig): Promise<unknown> {
  const client = new Client({
    host: 'localhost',
    port: fixture.port,
    database: 'x',
    user: 'joe',
    password: 'se cret ü',
    ...config,
  })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query('who')).rows[0]
  } finally {
    await client.end()
  }
}

function refusal(user: string): string {
  return `FATAL:  password authentication failed for user "${user}"`
}

async function withTls(
  makeContext: (paths: { cert: string; key: string }) => SecureContext,
  use: (fixture: WireFixture) => Promise<void>,
): Promise<void> {
  const context = makeContext(await makeCertificate(certificates.path, 'after'))
  await withServer({ authentication: { method: 'trust' }, tls: { context, isRequired: true } }, use)
}

describeWithDebianPostgres('TLS and SCRAM', (programs) => {
  /** The row of `who`, or why there is none. */
  async function who({ port }: WireFixture, conninfo: string, password = 'se cret ü'): Promise<string> {
    const { status, stdout, stderr } = await runProgram(
      programs.path('psql') ?? 'psql',
      [
        '-X',
        '-A',
        '-t',
        `host=localhost hostaddr=127.0.0.1 port=${String(port)} dbname=x ${conninfo}`,
        '-c',
        'who',
      ],
      { env: { PGPASSWORD: password } },
    )
    return status === 0 ? stdout.trim() : (stderr.split('failed: ').at(-1) ?? '').trim()
  }

  describe('TLS required', () => {
    let fixture: WireFixture
    let certificate: string

    beforeAll(async () => {
      fixture = await WireFixture.start({ access: await makeAccess(true, ecdsa) })
      certificate = join(certificates.path, `${ecdsa.join('').replaceAll(/\W/g, '')}.crt`)
    })

    afterAll(() => fixture.stop())

    test.each([
      ['user=joe', 'joe|x|t|'],
      ['user=joe sslmode=require', 'joe|x|t|'],
      ['user=joe channel_binding=disable', 'joe|x|t|'],
      ['user=joe channel_binding=require', 'joe|x|t|'],
      ['user=joe replication=1', 'joe|x|t|1'],
      [
        'user=joe sslmode=disable',
        'FATAL:  connection requires encryption\nHINT:  Connect with sslmode=require, or better verify-full.',
      ],
    ])('psql %s', async (conninfo, expected) => {
      expect(await who(fixture, conninfo)).toBe(expected)
    })

    test('psql verifies the certificate', async () => {
      expect(await who(fixture, `user=joe sslmode=verify-full sslrootcert=${certificate}`)).toBe('joe|x|t|')
    })

    test('a wrong password and an unknown user sound the same', async () => {
      expect(await who(fixture, 'user=joe sslmode=require', 'se cret')).toBe(refusal('joe'))
      expect(await who(fixture, 'user=jim sslmode=require')).toBe(refusal('jim'))
      expect(fixture.events.filter(({ type }) => type === 'refused').slice(-2)).toMatchObject([
        { user: 'joe', error: { sqlstate: '28P01' } },
        { user: 'jim', error: { sqlstate: '28P01' } },
      ])
    })

    test.each([false, true])('pg, channel binding %s', async (enableChannelBinding) => {
      const ssl = { ca: readFileSync(certificate) }
      const config = { ssl, enableChannelBinding } as ClientConfig
      expect(await connectAs(fixture, config)).toMatchObject({ user: 'joe', tls: true })
      await expect(connectAs(fixture, { ...config, password: 'x' })).rejects.toMatchObject({ code: '28P01' })
      await expect(connectAs(fixture, { ssl: false })).rejects.toMatchObject({ code: '28000' })
    })

    test('bytes that came along with the request are not taken for encrypted ones', async () => {
      const client = await RawClient.connect({ host: '127.0.0.1', port: fixture.port })
      client.send(sslRequest, startup({ user: 'joe' }))
      const [refusal] = await client.untilClosed()
      expect(field(refusal, 'M')).toBe('received unencrypted data after SSL request')
    })

    test('a handshake that is none, and one that breaks off, end the connection', async () => {
      for (const bytes of [Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.from('16030100c8', 'hex')]) {
        const client = await RawClient.connect({ host: '127.0.0.1', port: fixture.port })
        client.send(sslRequest)
        expect(await client.byte()).toBe('S')
        client.send(bytes).socket.end()
        await client.untilClosed()
      }
      expect(await who(fixture, 'user=joe')).toBe('joe|x|t|')
    })
  })

  test.each([
    [['-newkey', 'rsa:2048', '-sha384']],
    [['-newkey', 'rsa:2048', '-sha512']],
    [[...ecdsa, '-sha384']],
  ])('channel binding with a certificate of %j', async (key) => {
    await withServer(await makeAccess(false, key), async (fixture) => {
      expect(await who(fixture, 'user=joe channel_binding=require')).toBe('joe|x|t|')
    })
  })

  test.each([[['-newkey', 'ed25519']], [['-newkey', 'rsa:2048', '-sigopt', 'rsa_padding_mode:pss']]])(
    'no channel binding, but a connection, with a certificate of %j',
    async (key) => {
      await withServer(await makeAccess(false, key), async (fixture) => {
        expect(await who(fixture, 'user=joe channel_binding=disable')).toBe('joe|x|t|')
        expect(await who(fixture, 'user=joe channel_binding=require')).toContain(
          'channel binding is required',
        )
      })
    },
  )

  test('without TLS, SCRAM alone', async () => {
    await withServer({ authentication: { method: 'scram-sha-256', users } }, async (fixture) => {
      expect(await who(fixture, 'user=joe sslmode=prefer')).toBe('joe|x|f|')
      expect(await who(fixture, 'user=joe sslmode=require')).toContain('server does not support SSL')
      expect(await who(fixture, 'user=joe', 'wrong')).toContain('password authentication failed')
    })
  })

  describe('after the handshake', () => {
    const contexts: readonly (readonly [string, (paths: { cert: string; key: string }) => SecureContext])[] =
      [
        ['of an agent', ({ cert, key }) => readTlsFiles(cert, key)],
        [
          'of Node',
          ({ cert, key }) => createSecureContext({ cert: readFileSync(cert), key: readFileSync(key) }),
        ],
      ]

    test.each(['TLSv1.2', 'TLSv1.3'] as const)('a broken record of %s ends all', async (version) => {
      await withTls(contexts[0]![1], async (fixture) => {
        const { client, breakRecord } = await connectBreakableTls(fixture.port, version)
        await client.send(startup({ user: 'joe' })).until('Z')
        client.send(query('wait'))
        await fixture.running()
        breakRecord()
        await client.untilClosed()
        await fixture.quiet()
        expect(fixture.closed).toEqual(['lost'])
        expect(fixture.errors()).toEqual([expect.stringMatching(/^SSL error: [a-z]/)])
      })
    })

    test.each(contexts)('renegotiation is refused with the context %s', async (_, makeContext) => {
      await withTls(makeContext, async (fixture) => {
        const client = new OpensslClient(fixture.port, '-tls1_2')
        await client.until(/Verify return code/)
        client.type('R')
        expect(await client.end).toBe(1)
        expect(client.output).toMatch(/RENEGOTIATING[^]*error/i)
        await fixture.quiet()
      })
    })

    test('new keys of TLS 1.3 are no renegotiation', async () => {
      await withTls(contexts[0]![1], async (fixture) => {
        const client = new OpensslClient(fixture.port, '-tls1_3')
        await client.until(/Verify return code/)
        client.type('K')
        await client.until(/KEYUPDATE/)
        client.type('Q')
        expect(await client.end).toBe(0)
        await fixture.quiet()
        expect(fixture.errors()).toEqual(['connection to client lost'])
      })
    })
  })

  test('TLS alone, where everybody is let in', async () => {
    const access = await makeAccess(true, ecdsa)
    await withServer({ ...access, authentication: { method: 'trust' } }, async (fixture) => {
      expect(await who(fixture, 'user=anybody')).toBe('anybody|x|t|')
    })
  })
})
