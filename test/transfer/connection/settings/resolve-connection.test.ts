import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ConnectionSettings } from '../../../../src/transfer/connection/settings/resolve-connection.js'
import { resolve } from './resolve.js'

let home: string

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'pbmanifest-home-'))
})

afterEach(() => rm(home, { recursive: true }))

/** Of the first host: for SQL, for replication. */
function passwords(conninfo: string): readonly (string | undefined)[] {
  const [host] = resolve({ conninfo }, {}, home).options.hosts
  return [host?.password, host?.replicationPassword]
}

/** The hosts as `host:port`, user, database, password. */
function summary(settings: ConnectionSettings, variables: Readonly<Record<string, string>> = {}): string {
  const { hosts, user, database } = resolve(settings, variables, home).options
  const places = hosts.map(({ host, address, port }) => `${host}${address ? `(${address})` : ''}:${port}`)
  return [...places, user, database, hosts[0]?.password ?? '-'].join(' ')
}

test.each<{ conninfo: string; expected: string }>([
  { conninfo: 'host=h', expected: 'h:5432 somebody postgres -' },
  { conninfo: 'host=h user=u', expected: 'h:5432 u postgres -' },
  { conninfo: 'host = h  user= u\tdbname =d', expected: 'h:5432 u d -' },
  {
    conninfo: String.raw`host=h password='a b\'c\\d'`,
    expected: String.raw`h:5432 somebody postgres a b'c\d`,
  },
  { conninfo: String.raw`host=h password=a\ b`, expected: 'h:5432 somebody postgres a b' },
  { conninfo: `host=h password='p'user=u`, expected: 'h:5432 u postgres p' },
  { conninfo: 'host=h user=a user=b', expected: 'h:5432 b postgres -' },
  { conninfo: 'host=a,b,c port=1,,3', expected: 'a:1 b:5432 c:3 somebody postgres -' },
  { conninfo: 'host=a,b port=7', expected: 'a:7 b:7 somebody postgres -' },
  { conninfo: 'host=n hostaddr=10.0.0.1', expected: 'n(10.0.0.1):5432 somebody postgres -' },
  { conninfo: 'hostaddr=::1', expected: '::1(::1):5432 somebody postgres -' },
  { conninfo: 'postgresql://h', expected: 'h:5432 somebody postgres -' },
  { conninfo: 'postgres://u:p%40%3A@h:6/d%2Fe', expected: 'h:6 u d/e p@:' },
  { conninfo: 'postgres://u:p:q@h', expected: 'h:5432 u postgres p:q' },
  { conninfo: 'postgresql://u@[::1]:7/d', expected: '::1:7 u d -' },
  { conninfo: 'postgresql://a:1,b,c:3/d?user=u', expected: 'a:1 b:5432 c:3 u d -' },
  { conninfo: 'postgresql://%2Fsocket%20dir/d', expected: '/socket dir:5432 somebody d -' },
  { conninfo: 'postgresql:///d?host=/s&port=9', expected: '/s:9 somebody d -' },
  { conninfo: 'postgresql://h?password=a+b', expected: 'h:5432 somebody postgres a+b' },
])('$conninfo', ({ conninfo, expected }) => {
  expect(summary({ conninfo })).toBe(expected)
})

test('a word that is no connection string is the name of a database', () => {
  expect(summary({ conninfo: 'shop', host: 'h' })).toBe('h:5432 somebody shop -')
})

test.each<{ conninfo: string; message: string }>([
  { conninfo: 'host=h hots=x', message: 'invalid connection option "hots"' },
  { conninfo: '__proto__=x', message: 'invalid connection option "__proto__"' },
  { conninfo: 'host=h password=my secret', message: 'missing "=" in connection info string' },
  { conninfo: "host='h", message: 'unterminated quoted string in connection info string' },
  { conninfo: String.raw`host='h\'`, message: 'unterminated quoted string in connection info string' },
  { conninfo: 'host=h port=x', message: 'invalid integer value "x" for connection option "port"' },
  { conninfo: 'host=h port=65536', message: 'invalid port number: "65536"' },
  { conninfo: 'host=h port=0', message: 'invalid port number: "0"' },
  { conninfo: 'host=a,b port=1,2,3', message: 'could not match 3 port numbers to 2 hosts' },
  { conninfo: 'host=a,b hostaddr=::1', message: 'could not match 2 host names to 1 hostaddr values' },
  { conninfo: 'hostaddr=h', message: 'could not parse network address "h"' },
  { conninfo: 'host=h sslmode=no', message: 'invalid sslmode value: "no"' },
  { conninfo: 'host=h target_session_attrs=no', message: 'invalid target_session_attrs value: "no"' },
  {
    conninfo: 'host=h connect_timeout=1s',
    message: 'invalid integer value "1s" for connection option "connect_timeout"',
  },
  {
    conninfo: 'host=h gssencmode=require',
    message: 'connection option "gssencmode=require" is not supported',
  },
  {
    conninfo: 'host=h oauth_client_secret=x',
    message: 'connection option "oauth_client_secret" is not supported',
  },
  {
    conninfo: 'host=h sslmode=require sslrootcert=system',
    message: 'weak sslmode "require" may not be used with sslrootcert=system (use "verify-full")',
  },
  { conninfo: 'postgresql://h?x=1', message: 'invalid URI query parameter: "x"' },
  {
    conninfo: 'postgresql://h?host',
    message: 'missing key/value separator "=" in URI query parameter: "host"',
  },
  { conninfo: 'postgresql://h?a=b=c', message: 'extra key/value separator "=" in URI query parameter: "a"' },
  { conninfo: 'postgresql://u%zz@h', message: 'invalid percent-encoded token in URI' },
  { conninfo: 'postgresql://u%00@h', message: 'forbidden value %00 in percent-encoded value in URI' },
  { conninfo: 'postgresql://u%ff@h', message: 'percent-encoded value in URI is not UTF-8' },
  { conninfo: 'postgresql://[]', message: 'IPv6 host address may not be empty in URI' },
  {
    conninfo: 'postgresql://[::1',
    message: 'end of string, ":", "," or "/" expected after the IPv6 address in URI: "[::1"',
  },
])('$conninfo is refused', ({ conninfo, message }) => {
  expect(() => resolve({ conninfo })).toThrow(expect.objectContaining({ code: 'USAGE', message }))
})

describe('what goes first', () => {
  const variables = {
    PGHOST: 'env',
    PGPORT: '2',
    PGUSER: 'envuser',
    PGDATABASE: 'envdb',
    PGPASSWORD: 'envpw',
  }

  test('the environment gives what nobody said', () => {
    expect(summary({}, variables)).toBe('env:2 envuser envdb envpw')
  })

  test('the service goes before the environment, its first value of a keyword before the second', async () => {
    await writeFile(
      join(home, '.pg_service.conf'),
      '# comment\n[other]\nhost=no\n\n[mine]\nhost=service\nhost=second\nport=3\n[more]\nuser=no\n',
    )
    expect(summary({}, { ...variables, PGSERVICE: 'mine' })).toBe('service:3 envuser envdb envpw')
    expect(summary({ conninfo: 'service=mine' }, variables)).toBe('service:3 envuser envdb envpw')
  })

  test('the connection string goes before the service', async () => {
    await writeFile(join(home, 'services'), '[mine]\nhost=service\nport=3\n')
    const conninfo = 'service=mine host=string'
    expect(summary({ conninfo }, { ...variables, PGSERVICEFILE: join(home, 'services') })).toBe(
      'string:3 envuser envdb envpw',
    )
  })

  test('an option goes before the connection string', () => {
    const settings = {
      conninfo: 'host=string port=4 user=string',
      host: 'option',
      port: '5',
      user: 'u',
      password: 'pw',
    }
    expect(summary(settings, variables)).toBe('option:5 u envdb pw')
  })

  test('an empty value is said, and means the default', () => {
    expect(summary({ conninfo: "host=h user='' password='' port=''" }, variables)).toBe(
      'h:5432 somebody envdb -',
    )
  })

  test.each([
    ['host=h\nno line\n', 'syntax error'],
    ['hots=h\n', 'syntax error'],
    ['service=other\n', 'nested "service" specifications not supported'],
  ])('a service %j is refused', async (lines, message) => {
    const file = join(home, '.pg_service.conf')
    await writeFile(file, `[mine]\n${lines}`)
    const line = lines.split('\n').length
    expect(() => resolve({ conninfo: 'service=mine' }, {}, home)).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: `${message} in service file "${file}", line ${line}`,
      }),
    )
  })

  test('a service that is nowhere is refused', () => {
    expect(() => resolve({ conninfo: 'service=mine' })).toThrow('definition of service "mine" not found')
  })
})

describe('the password file', () => {
  const lines = [
    '# h:5432:d:u:commented',
    'h:5432:d:other:no',
    String.raw`h:5432:d:u:pass\:word\\`,
    'h:5432:replication:u:for replication:ignored field',
    'localhost:*:*:u:local',
    '*:7:*:*:any',
    'broken',
  ]

  beforeEach(async () => {
    await writeFile(join(home, '.pgpass'), lines.join('\n'), { mode: 0o600 })
  })

  test.each([
    ['host=h dbname=d user=u', ['pass:word\\', 'for replication']],
    ['host=h dbname=e user=u', [undefined, 'for replication']],
    ['host=h dbname=d user=u password=given', ['given', 'given']],
    ['host=h port=7 user=x', ['any', 'any']],
    ['host=localhost user=u', ['local', 'local']],
    ['host=/tmp user=u', ['local', 'local']],
    ['host=/elsewhere user=u', [undefined, undefined]],
    ['host=n hostaddr=127.0.0.1 user=u', [undefined, undefined]],
  ])('%s', (conninfo, expected) => {
    expect(passwords(conninfo)).toEqual(expected)
  })

  test('each host has its own', async () => {
    const { hosts } = resolve({ conninfo: 'host=h,localhost dbname=d user=u' }, {}, home).options
    expect(hosts.map(({ password }) => password)).toEqual(['pass:word\\', 'local'])
  })

  test('PGPASSFILE and passfile lead elsewhere', async () => {
    await writeFile(join(home, 'other'), '*:*:*:*:other', { mode: 0o600 })
    const PGPASSFILE = join(home, 'other')
    expect(summary({ host: 'h' }, { PGPASSFILE })).toContain(' other')
    expect(summary({ conninfo: `host=h passfile=${PGPASSFILE}` })).toContain(' other')
  })

  test.each([0o640, 0o604, 0o666])('one of mode %o is ignored with a warning', async (mode) => {
    await chmod(join(home, '.pgpass'), mode)
    const { options, warnings } = resolve({ conninfo: 'host=localhost user=u' }, {}, home)
    expect(options.hosts[0]?.password).toBeUndefined()
    expect(warnings).toEqual([
      `password file "${join(home, '.pgpass')}" has group or world access; permissions should be u=rw (0600) or less`,
    ])
  })

  test('a directory is ignored with a warning, one that is not there without', async () => {
    await rm(join(home, '.pgpass'))
    expect(resolve({ host: 'h' }, {}, home).warnings).toEqual([])
    await mkdir(join(home, '.pgpass'))
    expect(resolve({ host: 'h' }, {}, home).warnings).toEqual([
      `password file "${join(home, '.pgpass')}" is not a plain file`,
    ])
  })
})

describe('certificates', () => {
  test('verify-full without a root certificate is refused, where TLS can be used', () => {
    const message = `root certificate file "${home}/.postgresql/root.crt" does not exist`
    const conninfo = 'sslmode=verify-full'
    expect(() => resolve({ conninfo, host: 'h' }, {}, home)).toThrow(
      expect.objectContaining({ code: 'IO', message }),
    )
    expect(() => resolve({ conninfo, host: '/tmp' }, {}, home)).not.toThrow()
  })

  test('a key that others can read is refused', async () => {
    await writeFile(join(home, 'crt'), 'certificate')
    await writeFile(join(home, 'key'), 'key', { mode: 0o600 })
    const conninfo = `host=h sslcert=${home}/crt sslkey=${home}/key`
    expect(resolve({ conninfo }, {}, home).options.tls).toMatchObject({
      certificate: 'certificate',
      key: 'key',
    })
    await chmod(join(home, 'key'), 0o644)
    expect(() => resolve({ conninfo }, {}, home)).toThrow(
      expect.objectContaining({ message: `private key file "${home}/key" has group or world access` }),
    )
  })

  test('a certificate without its key is refused', async () => {
    await writeFile(join(home, 'crt'), 'certificate')
    expect(() => resolve({ conninfo: `host=h sslcert=${home}/crt` }, {}, home)).toThrow(
      `certificate present, but not private key file "${home}/.postgresql/postgresql.key"`,
    )
  })
})

test('the options are plain data, and tell what primary_conninfo takes', () => {
  const { options } = resolve(
    { conninfo: 'host=h password=p dbname=d sslmode=require', user: 'u' },
    { PGAPPNAME: 'me' },
  )
  expect(structuredClone(options)).toEqual(options)
  expect(options.conninfo).toEqual([
    ['user', 'u'],
    ['password', 'p'],
    ['host', 'h'],
    ['port', '5432'],
    ['application_name', 'me'],
    ['sslmode', 'require'],
    ['dbname', 'd'],
  ])
})

test.each<[string, Record<string, string>, string]>([
  ['host=h', {}, 'user passfile=HOME/.pgpass host port'],
  ['host=h passfile=/mine', {}, 'user passfile=/mine host port'],
  ['host=h', { PGPASSFILE: '/theirs' }, 'user passfile=/theirs host port'],
  ['host=h password=p', {}, 'user password host port'],
  ['host=h', { PGPASSWORD: 'p' }, 'user password host port'],
  ['mydb', {}, 'user passfile=HOME/.pgpass host port dbname=mydb'],
  ['host=h', { PGDATABASE: 'envdb' }, 'user passfile=HOME/.pgpass host port dbname=envdb'],
  ['host=h dbname=mydb', { PGDATABASE: 'envdb' }, 'user passfile=HOME/.pgpass host port dbname=mydb'],
])(
  'primary_conninfo for %j and %j has, in the order of pg_basebackup, %s',
  (conninfo, environment, expected) => {
    const shown = resolve({ conninfo, user: 'u' }, environment, home).options.conninfo.map(
      ([keyword, value]) =>
        keyword === 'passfile' || keyword === 'dbname'
          ? `${keyword}=${value.replace(home, 'HOME')}`
          : keyword,
    )
    expect(shown.join(' ')).toBe(expected)
  },
)

test('the application is pbmanifest unless somebody says otherwise', () => {
  expect(resolve({ host: 'h' }).options.applicationName).toBe('pbmanifest')
  expect(resolve({ host: 'h' }, { PGAPPNAME: 'me' }).options.applicationName).toBe('me')
})
