import { expect, test } from 'vitest'
import { readServeOptions, type ServeValues } from '../../../../cli/commands/serve/serve-options.js'

const none: ServeValues = {
  pgdata: undefined,
  server: undefined,
  listen: undefined,
  'socket-dir': undefined,
  port: undefined,
  'socket-mode': undefined,
  'users-file': undefined,
  'tls-cert': undefined,
  'tls-key': undefined,
  insecure: undefined,
  'max-connections': undefined,
  'max-unauthenticated': undefined,
  'authentication-timeout': undefined,
  'max-backups': undefined,
  'max-message-size': undefined,
  'idle-timeout': undefined,
  'backup-idle-timeout': undefined,
  'drain-timeout': undefined,
  'log-level': 'info',
  'metrics-listen': undefined,
}

const local = { pgdata: 'DATA', 'socket-dir': 'DIR' } as const
const network = { pgdata: 'DATA', listen: '10.0.0.5:5433' } as const

test('a Unix socket is its owner’s alone, and there are limits, unless told otherwise', () => {
  expect(readServeOptions({ ...none, ...local })).toEqual({
    dataDirectory: 'DATA',
    server: undefined,
    socket: { directory: 'DIR', port: 5433, mode: 0o700 },
    network: undefined,
    limits: {
      maxConnections: 100,
      maxUnauthenticated: 100,
      authenticationTimeoutMs: 60_000,
      maxBackups: 10,
      maxMessageBytes: 4 * 1024 * 1024,
      idleTimeoutMs: 900_000,
      stallTimeoutMs: 900_000,
      backupIdleTimeoutMs: 14_400_000,
    },
    drainTimeoutMs: 60_000,
    metrics: undefined,
  })
})

test.each<[Partial<ServeValues>, object]>([
  [{ ...local, port: '1', 'socket-mode': '0770' }, { socket: { directory: 'DIR', port: 1, mode: 0o770 } }],
  [
    { ...network, 'users-file': 'U', 'tls-cert': 'C', 'tls-key': 'K' },
    {
      socket: undefined,
      network: {
        address: { host: '10.0.0.5', port: 5433 },
        usersFile: 'U',
        tls: { certificate: 'C', key: 'K' },
      },
    },
  ],
  [{ ...network, insecure: true }, { network: { usersFile: undefined, tls: undefined } }],
  [{ ...network, insecure: true, 'users-file': 'U' }, { network: { usersFile: 'U', tls: undefined } }],
  [
    { ...network, listen: '[::1]:0', insecure: true, 'tls-cert': 'C', 'tls-key': 'K' },
    { network: { address: { host: '::1', port: 0 }, usersFile: undefined, tls: { key: 'K' } } },
  ],
  [{ ...local, 'max-connections': '5' }, { limits: { maxConnections: 5, maxUnauthenticated: 5 } }],
  [
    { ...local, 'max-unauthenticated': '7', 'authentication-timeout': '3' },
    { limits: { maxConnections: 100, maxUnauthenticated: 7, authenticationTimeoutMs: 3000 } },
  ],
  [{ ...local, 'metrics-listen': '9187' }, { metrics: { host: '127.0.0.1', port: 9187 } }],
  [{ ...local, 'metrics-listen': '*:9187' }, { metrics: { host: '*', port: 9187 } }],
  [{ ...local, 'idle-timeout': '0' }, { limits: { idleTimeoutMs: 0, stallTimeoutMs: 0 } }],
])('%o is understood', (values, settings) => {
  expect(readServeOptions({ ...none, ...values })).toMatchObject(settings)
})

test.each<[Partial<ServeValues>, string]>([
  [{}, 'no data directory specified'],
  [{ pgdata: 'DATA' }, 'nothing to listen on specified'],
  [network, '--listen needs --users-file: everybody would get in'],
  [{ ...network, 'users-file': 'U' }, '--listen needs --tls-cert and --tls-key: nothing would be encrypted'],
  [{ ...network, 'tls-cert': 'C', 'tls-key': 'K' }, '--listen needs --users-file: everybody would get in'],
  [{ ...network, insecure: true, 'tls-key': 'K' }, '--tls-cert and --tls-key must be given together'],
  [{ ...local, 'users-file': 'U' }, '--users-file needs --listen'],
  [{ ...local, insecure: true }, '--insecure needs --listen'],
  [{ ...network, insecure: true, 'socket-mode': '0700' }, '--socket-mode needs --socket-dir'],
  [{ ...network, insecure: true, port: '5433' }, '--port needs --socket-dir'],
  [{ ...local, 'socket-mode': '777x' }, 'invalid value "777x" for option --socket-mode'],
  [{ ...local, 'socket-mode': '1777' }, 'invalid value "1777" for option --socket-mode'],
  [{ ...local, port: '65536' }, 'invalid value "65536" for option -p/--port'],
  [{ ...network, listen: '5433', insecure: true }, 'invalid value "5433" for option --listen'],
  [{ ...network, listen: '::1:5433', insecure: true }, 'invalid value "::1:5433" for option --listen'],
  [{ ...network, listen: 'x:65536', insecure: true }, 'invalid value "x:65536" for option --listen'],
  [{ ...local, 'metrics-listen': 'x' }, 'invalid value "x" for option --metrics-listen'],
  [{ ...local, 'max-connections': '0' }, 'invalid value "0" for option --max-connections'],
  [{ ...local, 'max-backups': 'x' }, 'invalid value "x" for option --max-backups'],
  [{ ...local, 'max-message-size': '0' }, 'invalid value "0" for option --max-message-size'],
  [{ ...local, 'idle-timeout': '-1' }, 'invalid value "-1" for option --idle-timeout'],
  [{ ...local, 'backup-idle-timeout': 'x' }, 'invalid value "x" for option --backup-idle-timeout'],
  [{ ...local, 'drain-timeout': '2000001' }, 'invalid value "2000001" for option --drain-timeout'],
])('%o is refused', (values, message) => {
  expect(() => readServeOptions({ ...none, ...values })).toThrow(
    expect.objectContaining({ code: 'USAGE', message }),
  )
})
