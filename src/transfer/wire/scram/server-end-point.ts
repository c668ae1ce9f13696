import { createHash } from 'node:crypto'

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

const SEQUENCE = 0x30
const OBJECT_IDENTIFIER = 0x06

interface Element {
  readonly tag: number
  /** Where its content begins and ends. */
  readonly start: number
  readonly end: number
}

/**
 * Finds the signature algorithm of a certificate.
 *
 * @param der - `SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, parameters }, signature }`
 * @returns its object identifier, `undefined` when this is no certificate
 */
function certificateSignatureOid(der: Buffer): string | undefined {
  try {
    const certificate = readElement(der, 0, SEQUENCE)
    const signed = readElement(der, certificate.start, SEQUENCE)
    const algorithm = readElement(der, signed.end, SEQUENCE)
    const identifier = readElement(der, algorithm.start, OBJECT_IDENTIFIER)
    return formatOid(der.subarray(identifier.start, identifier.end))
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** @throws RangeError when there is no such element */
function readElement(der: Buffer, at: number, tag: number): Element {
  if (der.readUInt8(at) !== tag) throw new RangeError('another element was expected')
  const first = der.readUInt8(at + 1)
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  const length = first < 0x80 ? first : der.readUIntBE(at + 2, lengthBytes)
  const start = at + 2 + lengthBytes
  if (start + length > der.length) throw new RangeError('the element is cut')
  return { tag, start, end: start + length }
}

function formatOid(content: Buffer): string {
  const numbers: number[] = []
  let value = 0
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) {
      numbers.push(value)
      value = 0
    }
  }
  const [first = 0, ...rest] = numbers
  return [Math.floor(first / 40), first % 40, ...rest].join('.')
}
