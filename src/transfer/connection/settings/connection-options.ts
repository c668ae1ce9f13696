import type { AuthenticationDemands } from '../authentication-check.js'

/** libpq's `sslmode`. */
export const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

export type SslMode = (typeof sslModes)[number]

/** libpq's `target_session_attrs`. */
export const sessionAttributes = [
  'any',
  'read-write',
  'read-only',
  'primary',
  'standby',
  'prefer-standby',
] as const

export type SessionAttributes = (typeof sessionAttributes)[number]

/** One server to try. */
export interface ConnectionHost {
  /** A name or address, or the absolute path of the directory of a Unix socket. */
  readonly host: string
  /** `hostaddr`: where to connect, while `host` is what the certificate must name. */
  readonly address: string | undefined
  readonly port: number
  /** For SQL connections: as given, or from the password file. */
  readonly password: string | undefined
  /** The same for replication connections: in a password file their database is `replication`. */
  readonly replicationPassword: string | undefined
  /** The same for each of {@link ConnectionOptions.fallbackDatabases}. */
  readonly fallbackPasswords: readonly (string | undefined)[]
}

/** TLS as it was asked for; the files are read already. */
export interface TlsOptions {
  readonly mode: SslMode
  readonly negotiation: 'postgres' | 'direct'
  /** PEM; `system`: those that Node trusts; `undefined`: the server's certificate is not checked. */
  readonly rootCertificates: string | undefined
  /** PEM */
  readonly certificate: string | undefined
  /** PEM */
  readonly key: string | undefined
  readonly keyPassphrase: string | undefined
  /** PEM */
  readonly revocationList: string | undefined
  readonly minVersion: TlsVersion
  readonly maxVersion: TlsVersion | undefined
}

/** A version of TLS, as Node.js names it. */
export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'

/** All that it takes to connect, resolved as libpq does. Plain data: it crosses threads. It holds passwords. */
export interface ConnectionOptions {
  /** In the order in which they are tried. */
  readonly hosts: readonly ConnectionHost[]
  readonly user: string
  readonly database: string
  /** Where to go, in this order, when `database` is not there, or not for the user: nobody has named it. Empty: nowhere. */
  readonly fallbackDatabases: readonly string[]
  readonly applicationName: string
  /** libpq's `options`: settings for the session, in the syntax of the server's command line. */
  readonly sessionOptions: string | undefined
  /** For each host, in seconds; 0: no limit. */
  readonly connectTimeout: number
  /** How long the other side may be silent while an answer is due, in seconds; 0: for any time. */
  readonly ioTimeout: number
  readonly keepAlive: boolean
  /** Seconds; 0: the operating system's default. */
  readonly keepAliveIdle: number
  readonly authentication: AuthenticationDemands
  readonly sessionAttributes: SessionAttributes
  readonly tls: TlsOptions
  /**
   * What differs from libpq's defaults, for `primary_conninfo`: keywords and values in the order of libpq's table, the
   * password that was given included, one from a password file not. `dbname` is the last, if it was given.
   */
  readonly conninfo: readonly (readonly [keyword: string, value: string])[]
}
