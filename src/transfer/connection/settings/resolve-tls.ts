import { lstatSync, statSync } from 'node:fs'
import type { ConnectionOptions as NodeTlsOptions } from 'node:tls'
import { PbManifestError } from '../../../errors.js'
import { readSmallFile } from '../../../files/read-small-file.js'
import { describeSystemError, ioError, isNotThere } from '../../../files/system-error.js'
import {
  type ConnectionHost,
  type SslMode,
  sslModes,
  type TlsOptions,
  type TlsVersion,
} from './connection-options.js'
import { type Conninfo, oneOf } from './conninfo.js'

const tlsVersions: readonly TlsVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']

const MAX_BYTES = 16 * 1024 * 1024

/**
 * Works out how to use TLS, and reads certificates and key, so that no thread has to.
 *
 * @see https://www.postgresql.org/docs/current/libpq-ssl.html
 */
export function resolveTls(values: Conninfo, home: string, hosts: readonly ConnectionHost[]): TlsOptions {
  const rootCert = values.get('sslrootcert')
  const mode = oneOf(
    'sslmode',
    values.get('sslmode') || (rootCert === 'system' ? 'verify-full' : 'prefer'),
    sslModes,
  )
  if (rootCert === 'system' && mode !== 'verify-full') {
    throw usage(`weak sslmode "${mode}" may not be used with sslrootcert=system (use "verify-full")`)
  }
  const negotiation = oneOf('sslnegotiation', values.get('sslnegotiation') || 'postgres', [
    'postgres',
    'direct',
  ])
  if (negotiation === 'direct' && isOptional(mode)) {
    throw usage(
      `weak sslmode "${mode}" may not be used with sslnegotiation=direct (use "require", "verify-ca", or "verify-full")`,
    )
  }
  const plain: TlsOptions = {
    mode,
    negotiation,
    rootCertificates: undefined,
    certificate: undefined,
    key: undefined,
    keyPassphrase: undefined,
    revocationList: undefined,
    minVersion: readVersion(values, 'ssl_min_protocol_version') ?? 'TLSv1.2',
    maxVersion: readVersion(values, 'ssl_max_protocol_version'),
  }
  if (mode === 'disable' || hosts.every(isUnixSocket)) return plain
  const directory = `${home}/.postgresql`
  return {
    ...plain,
    rootCertificates: readRootCertificates(rootCert || `${directory}/root.crt`, mode),
    revocationList: readPem(values.get('sslcrl') || `${directory}/root.crl`),
    keyPassphrase: values.get('sslpassword') || undefined,
    ...(values.get('sslcertmode') === 'disable' ? {} : readClientCertificate(values, directory)),
  }
}

/** Whether a connection without TLS would do. */
function isOptional(mode: SslMode): boolean {
  return mode === 'disable' || mode === 'allow' || mode === 'prefer'
}

/** Whether this is a Unix socket's directory, where libpq never uses TLS. */
export function isUnixSocket({ host, address }: ConnectionHost): boolean {
  return address === undefined && (host.startsWith('/') || host.startsWith('@'))
}

function readRootCertificates(path: string, mode: SslMode): string | undefined {
  if (path === 'system') return path
  const certificates = readPem(path)
  if (certificates === undefined && mode.startsWith('verify-')) {
    throw new PbManifestError('IO', `root certificate file "${path}" does not exist`, {
      hint: 'Either provide the file, use the trusted roots of Node with sslrootcert=system, or change sslmode.',
    })
  }
  return certificates
}

function readClientCertificate(values: Conninfo, directory: string): Partial<TlsOptions> {
  const certificate = readPem(values.get('sslcert') || `${directory}/postgresql.crt`)
  if (certificate === undefined) return {}
  const keyPath = values.get('sslkey') || `${directory}/postgresql.key`
  const key = readPem(keyPath)
  if (key === undefined) {
    throw new PbManifestError('IO', `certificate present, but not private key file "${keyPath}"`)
  }
  refuseOpenKey(keyPath)
  return { certificate, key }
}

/** @see src/interfaces/libpq/fe-secure-openssl.c (`initialize_SSL`) */
function refuseOpenKey(path: string): void {
  const { mode, uid } = statSync(path)
  if ((mode & (uid === 0 ? 0o027 : 0o077)) === 0) return
  throw new PbManifestError('IO', `private key file "${path}" has group or world access`, {
    hint: 'File must have permissions u=rw (0600) or less if owned by the current user, or permissions u=rw,g=r (0640) or less if owned by root.',
  })
}

function readPem(path: string): string | undefined {
  try {
    lstatSync(path)
  } catch (error) {
    if (isNotThere(error) || describeSystemError(error)?.code === 'ENOTDIR') return undefined
    throw ioError(`could not open file "${path}"`, error)
  }
  return readSmallFile(path, MAX_BYTES)?.toString('utf8')
}

function readVersion(
  values: Conninfo,
  keyword: 'ssl_min_protocol_version' | 'ssl_max_protocol_version',
): TlsVersion | undefined {
  const text = values.get(keyword)
  if (text === undefined || text === '') return undefined
  const version = tlsVersions.find((candidate) => candidate.toLowerCase() === text.toLowerCase())
  if (version !== undefined) return version
  throw usage(`invalid "${keyword}" value: "${text}"`)
}

function usage(message: string): PbManifestError {
  return new PbManifestError('USAGE', message)
}

/** The `ssl` of `pg`. */
export type TlsAttempt = NodeTlsOptions | false

/**
 * In which ways to try a host, until one succeeds. The second is only for a server that has no TLS, or that does not let
 * us in this way.
 */
export function tlsAttempts(tls: TlsOptions, host: ConnectionHost): readonly TlsAttempt[] {
  if (isUnixSocket(host)) return [false]
  switch (tls.mode) {
    case 'disable':
      return [false]
    case 'allow':
      return [false, tlsOf(tls, host)]
    case 'prefer':
      return [tlsOf(tls, host), false]
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return [tlsOf(tls, host)]
    default:
      return tls.mode satisfies never
  }
}

function tlsOf(tls: TlsOptions, { host, address }: ConnectionHost): NodeTlsOptions {
  const { rootCertificates, certificate, key, keyPassphrase, revocationList, minVersion, maxVersion } = tls
  return {
    // A root certificate is used whenever there is one, also by the modes that do not insist on it.
    rejectUnauthorized: rootCertificates !== undefined,
    ...(rootCertificates === undefined || rootCertificates === 'system' ? {} : { ca: rootCertificates }),
    ...(certificate === undefined ? {} : { cert: certificate }),
    ...(key === undefined ? {} : { key }),
    ...(keyPassphrase === undefined ? {} : { passphrase: keyPassphrase }),
    ...(revocationList === undefined ? {} : { crl: revocationList }),
    minVersion,
    ...(maxVersion === undefined ? {} : { maxVersion }),
    // What is checked is the name, wherever it leads.
    ...(address === undefined ? {} : { host, servername: address === host ? '' : host }),
    ...(tls.mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  }
}
