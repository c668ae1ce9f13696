import type { ConnectionOptions as NodeTlsOptions } from 'node:tls'
import type { ConnectionHost, TlsOptions } from './connection-options.js'
import { isUnixSocket } from './resolve-tls.js'

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
