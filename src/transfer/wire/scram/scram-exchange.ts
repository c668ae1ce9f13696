import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { WireError } from '../wire-error.js'
import { hmac, SCRAM_KEY_BYTES, type ScramIdentity, sha256 } from './scram-users.js'

const NONCE_BYTES = 18

export interface ScramOptions {
  readonly identity: ScramIdentity
  /** What the client's end of the channel must be bound to, when the mechanism is the one with `-PLUS`. */
  readonly boundTo: Buffer | undefined
  /** Whether we offered the mechanism with `-PLUS`. */
  readonly isPlusOffered: boolean
}

/**
 * The server's side of SCRAM-SHA-256: two messages in, two out. No socket.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5802
 * @see PostgreSQL's src/backend/libpq/auth-scram.c
 */
export class ScramExchange {
  readonly #options: ScramOptions
  #first: ClientFirst | undefined
  #nonce = ''
  #serverFirst = ''

  constructor(options: ScramOptions) {
    this.#options = options
  }

  /**
   * Takes client-first-message.
   *
   * @returns server-first-message
   * @throws {@link WireError} `FATAL`
   */
  start(clientFirst: Buffer): string {
    const first = parseClientFirst(clientFirst)
    this.#checkBindingFlag(first)
    const { salt, iterations } = this.#options.identity.verifier
    this.#first = first
    this.#nonce = first.nonce + randomBytes(NONCE_BYTES).toString('base64')
    this.#serverFirst = `r=${this.#nonce},s=${salt.toString('base64')},i=${String(iterations)}`
    return this.#serverFirst
  }

  /**
   * Takes client-final-message.
   *
   * @returns server-final-message; `undefined`: the password is wrong, or there is no such user
   * @throws {@link WireError} `FATAL`
   */
  finish(clientFinal: Buffer): string | undefined {
    if (this.#first === undefined) throw new Error('a SCRAM exchange has to be started first')
    const final = parseClientFinal(clientFinal)
    if (!sameBytes(final.channelBinding, this.#expectedBinding(this.#first))) throw bindingFailed()
    if (!sameBytes(Buffer.from(final.nonce, 'latin1'), Buffer.from(this.#nonce, 'latin1'))) {
      throw violation('invalid SCRAM response', 'Nonce does not match.')
    }
    const authMessage = Buffer.from(
      `${this.#first.bare},${this.#serverFirst},${final.withoutProof}`,
      'latin1',
    )
    const { verifier } = this.#options.identity
    if (!this.#isProven(final.proof, authMessage)) return undefined
    return `v=${hmac(verifier.serverKey, authMessage).toString('base64')}`
  }

  /** An unknown user takes the same way, to the last comparison. */
  #isProven(proof: Buffer, authMessage: Buffer): boolean {
    const { verifier, isKnown } = this.#options.identity
    const signature = hmac(verifier.storedKey, authMessage)
    const clientKey = Buffer.from(signature.map((byte, index) => byte ^ proof.readUInt8(index)))
    const isRight = timingSafeEqual(sha256(clientKey), verifier.storedKey)
    return isRight && isKnown
  }

  #checkBindingFlag({ bindingFlag }: ClientFirst): void {
    const { boundTo, isPlusOffered } = this.#options
    if (bindingFlag === 'p' && boundTo === undefined) {
      throw violation(
        'malformed SCRAM message',
        'The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data.',
      )
    }
    if (bindingFlag !== 'p' && boundTo !== undefined) {
      throw violation(
        'malformed SCRAM message',
        'The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.',
      )
    }
    // Somebody in between may have taken the better mechanism out of our list.
    if (bindingFlag === 'y' && isPlusOffered) {
      throw new WireError('28000', 'SCRAM channel binding negotiation error', {
        severity: 'FATAL',
        detail:
          'The client supports SCRAM channel binding but thinks the server does not.  However, this server does support channel binding.',
      })
    }
  }

  #expectedBinding({ gs2Header }: ClientFirst): Buffer {
    return Buffer.concat([Buffer.from(gs2Header), this.#options.boundTo ?? Buffer.alloc(0)])
  }
}

function sameBytes(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other)
}

function violation(message: string, detail: string): WireError {
  return new WireError('08P01', message, { severity: 'FATAL', detail })
}

function bindingFailed(): WireError {
  return new WireError('28000', 'SCRAM channel binding check failed', { severity: 'FATAL' })
}

interface ClientFirst {
  /** `n`: the client does no channel binding; `y`: it would, but thinks that we do not; `p`: it does. */
  readonly bindingFlag: 'n' | 'y' | 'p'
  readonly gs2Header: string
  /** The message without that header. */
  readonly bare: string
  readonly nonce: string
}

interface ClientFinal {
  readonly channelBinding: Buffer
  readonly nonce: string
  readonly proof: Buffer
  readonly withoutProof: string
}

// No authorization identity; the user's name is that of the startup packet, so this one is not looked at; extensions
// that we have to understand (m=) fail, others are passed over.
const clientFirst = /^((n|y|p=tls-server-end-point),,)(n=[^,\0]*,r=([!-+\--~]+)(?:,[A-Za-z]=[^,\0]*)*)$/
const clientFinal = /^(c=([A-Za-z0-9+/=]*),r=([!-+\--~]+)(?:,[A-Za-z]=[^,\0]*)*),p=([A-Za-z0-9+/=]+)$/

/** @throws {@link WireError} `FATAL` */
function parseClientFirst(message: Buffer): ClientFirst {
  // Byte for byte, since what is signed are bytes.
  const text = message.toString('latin1')
  const [, gs2Header, flag, bare, nonce] = clientFirst.exec(text) ?? []
  if (gs2Header === undefined || bare === undefined || nonce === undefined) throw malformed()
  return { bindingFlag: flag === 'n' || flag === 'y' ? flag : 'p', gs2Header, bare, nonce }
}

/** @throws {@link WireError} `FATAL` */
function parseClientFinal(message: Buffer): ClientFinal {
  // Byte for byte, since what is signed are bytes.
  const text = message.toString('latin1')
  const [, withoutProof, binding, nonce, proofText] = clientFinal.exec(text) ?? []
  const proof = Buffer.from(proofText ?? '', 'base64')
  if (withoutProof === undefined || nonce === undefined || proof.length !== SCRAM_KEY_BYTES) throw malformed()
  return { channelBinding: Buffer.from(binding ?? '', 'base64'), nonce, proof, withoutProof }
}

function malformed(): WireError {
  return new WireError('08P01', 'malformed SCRAM message', { severity: 'FATAL' })
}

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
