import { createHash, createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto'
import { SshFormatError, SshReader } from './ssh-wire.js'

/** A public key of a kind that we can verify with. */
export interface SshPublicKey {
  readonly type: string
  /** In the form that SSH sends; the same key has the same bytes. */
  readonly blob: Buffer
  readonly key: KeyObject
}

const ED25519 = 'ssh-ed25519'
const RSA = 'ssh-rsa'

interface Curve {
  readonly name: string
  readonly jwkName: string
  /** Of a coordinate. */
  readonly bytes: number
  readonly hash: string
}

/** @see RFC 5656 */
const curves: ReadonlyMap<string, Curve> = new Map([
  ['ecdsa-sha2-nistp256', { name: 'nistp256', jwkName: 'P-256', bytes: 32, hash: 'sha256' }],
  ['ecdsa-sha2-nistp384', { name: 'nistp384', jwkName: 'P-384', bytes: 48, hash: 'sha384' }],
  ['ecdsa-sha2-nistp521', { name: 'nistp521', jwkName: 'P-521', bytes: 66, hash: 'sha512' }],
])

/** Those of RSA that do not sign with SHA-1. @see RFC 8332 */
const rsaHashes: ReadonlyMap<string, string> = new Map([
  ['rsa-sha2-256', 'sha256'],
  ['rsa-sha2-512', 'sha512'],
])

const MIN_RSA_BITS = 2048
/** OpenSSL verifies with no larger one. */
const MAX_RSA_BITS = 16_384
const MAX_EXPONENT_BYTES = 8

/** @throws {@link SshFormatError} also for a kind of key that is not supported */
export function parsePublicKey(blob: Buffer): SshPublicKey {
  const reader = new SshReader(blob, 'public key')
  const type = reader.name()
  const jwk = readPublicJwk(type, reader)
  reader.end()
  try {
    return { type, blob, key: createPublicKey({ key: jwk, format: 'jwk' }) }
  } catch {
    // A point that is not on the curve, for example.
    throw new SshFormatError(`the public key is no key of type "${type}"`)
  }
}

/** The kind of a key that need not be one that is supported; `undefined` when these are not the bytes of a key. */
export function typeOfKey(blob: Buffer): string | undefined {
  try {
    return new SshReader(blob, 'public key').name()
  } catch {
    return undefined
  }
}

function readPublicJwk(type: string, reader: SshReader): JsonWebKey {
  const curve = curves.get(type)
  if (curve !== undefined) return readEcJwk(curve, reader)
  switch (type) {
    case ED25519:
      return { kty: 'OKP', crv: 'Ed25519', x: reader.string().toString('base64url') }
    case RSA:
      return readRsaJwk(reader)
    default:
      throw new SshFormatError(unsupportedKey(type))
  }
}

function unsupportedKey(type: string): string {
  if (type.includes('-cert-v0')) return 'certificates are not supported'
  return `keys of type "${type}" are not supported`
}

function readEcJwk({ name, jwkName, bytes }: Curve, reader: SshReader): JsonWebKey {
  if (reader.name() !== name) throw new SshFormatError('the public key is of another curve than it says')
  const point = new SshReader(reader.string(), 'public key')
  if (point.bytes(1)[0] !== 4) throw new SshFormatError('the point of the public key is compressed')
  const x = point.bytes(bytes).toString('base64url')
  const y = point.bytes(bytes).toString('base64url')
  point.end()
  return { kty: 'EC', crv: jwkName, x, y }
}

function readRsaJwk(reader: SshReader): JsonWebKey {
  const exponent = reader.mpint()
  const modulus = reader.mpint()
  const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24
  if (bits < MIN_RSA_BITS) {
    throw new SshFormatError(`RSA keys of less than ${MIN_RSA_BITS} bits are not supported`)
  }
  if (bits > MAX_RSA_BITS || exponent.length > MAX_EXPONENT_BYTES) {
    throw new SshFormatError('RSA keys of such a size are not supported')
  }
  return { kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') }
}

/** What `ssh-keygen -l` shows of it: `SHA256:` and base64. */
export function fingerprintOf(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replaceAll('=', '')}`
}

/** How a key is named for people, as by `ssh-keygen`: `ED25519 key SHA256:...`. */
export function describeKey({ type, blob }: Pick<SshPublicKey, 'type' | 'blob'>): string {
  const kind = type === ED25519 ? 'ED25519' : type === RSA ? 'RSA' : 'ECDSA'
  return `${kind} key ${fingerprintOf(blob)}`
}

/**
 * Whether a signature, as SSH sends it, is of these bytes and by this key.
 *
 * @throws {@link SshFormatError} when it is none that such a key makes
 */
export function verifyWithKey({ type, key }: SshPublicKey, data: Buffer, signature: Buffer): boolean {
  const reader = new SshReader(signature, 'signature')
  const algorithm = reader.name()
  const bytes = reader.string()
  reader.end()
  const curve = curves.get(type)
  if (type === RSA) {
    const hash = rsaHashes.get(algorithm)
    if (hash === undefined) throw new SshFormatError(`signatures by "${algorithm}" are not supported`)
    return verify(hash, data, key, padded(bytes, modulusBytes(key)))
  }
  if (algorithm !== type) throw new SshFormatError(`a signature by "${algorithm}" is none of this key`)
  if (curve === undefined) return verify(null, data, key, bytes)
  const numbers = new SshReader(bytes, 'signature')
  const [r, s] = [numbers.mpint(), numbers.mpint()]
  numbers.end()
  if (r.length > curve.bytes || s.length > curve.bytes) return false
  const both = Buffer.concat([padded(r, curve.bytes), padded(s, curve.bytes)])
  return verify(curve.hash, data, { key, dsaEncoding: 'ieee-p1363' }, both)
}

function modulusBytes(key: KeyObject): number {
  return Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
}

/** Some write a number without the zeros that it begins with. */
function padded(bytes: Buffer, length: number): Buffer {
  return bytes.length >= length ? bytes : Buffer.concat([Buffer.alloc(length - bytes.length), bytes])
}
