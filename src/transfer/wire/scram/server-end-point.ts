import { createHash } from 'node:crypto'
import { certificateSignatureOid } from './certificate-signature.js'

/** The hash functions of signature algorithms. RSASSA-PSS has its in the parameters, and EdDSA has none of the kind. */
const hashes: ReadonlyMap<string, string> = new Map([
  // RFC 5929: in the place of MD5 and SHA-1 stands SHA-256.
  ['1.2.840.113549.1.1.4', 'sha256'],
  ['1.2.840.113549.1.1.5', 'sha256'],
  ['1.2.840.10045.4.1', 'sha256'],
  ['1.2.840.113549.1.1.14', 'sha224'],
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
  ['1.2.840.10045.4.3.1', 'sha224'],
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
])

/**
 * The channel binding data `tls-server-end-point` of a connection: the hash of our certificate.
 *
 * @param certificate - DER
 * @returns `undefined` when its signature does not say with which hash; then there is no channel binding
 * @see https://www.rfc-editor.org/rfc/rfc5929#section-4.1
 */
export function serverEndPoint(certificate: Buffer): Buffer | undefined {
  const oid = certificateSignatureOid(certificate)
  const hash = oid === undefined ? undefined : hashes.get(oid)
  return hash === undefined ? undefined : createHash(hash).update(certificate).digest()
}
