import { createHash, createHmac } from 'node:crypto'
import { PbManifestError } from '../../../errors.js'

/** What is kept in place of a password, as `pg_authid.rolpassword` has it. */
export interface ScramVerifier {
  readonly iterations: number
  readonly salt: Buffer
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

export const SCRAM_KEY_BYTES = 32
export const SCRAM_SALT_BYTES = 16
/** PostgreSQL's defaults. */
export const SCRAM_ITERATIONS = 4096

const base64 = '[A-Za-z0-9+/]+={0,2}'
const verifier = new RegExp(`^SCRAM-SHA-256\\$([1-9][0-9]{0,9}):(${base64})\\$(${base64}):(${base64})$`)
const MAX_ITERATIONS = 2 ** 31 - 1

/**
 * Reads PostgreSQL's `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
 *
 * @throws {@link PbManifestError} `USAGE`, without repeating the text
 */
export function parseScramVerifier(text: string): ScramVerifier {
  const [, iterations, salt, storedKey, serverKey] = verifier.exec(text) ?? []
  const parsed = {
    iterations: Number(iterations),
    salt: decodeBase64(salt),
    storedKey: decodeBase64(storedKey),
    serverKey: decodeBase64(serverKey),
  }
  if (!isSound(parsed)) {
    throw new PbManifestError('USAGE', 'not a SCRAM-SHA-256 verifier', {
      hint: 'It is what "SELECT rolpassword FROM pg_authid" shows: SCRAM-SHA-256$4096:...$...:...',
    })
  }
  return parsed
}

export function hmac(key: Uint8Array, data: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

export function sha256(...data: readonly (string | Uint8Array)[]): Buffer {
  const hash = createHash('sha256')
  for (const piece of data) hash.update(piece)
  return hash.digest()
}

function isSound({ iterations, salt, storedKey, serverKey }: ScramVerifier): boolean {
  return (
    iterations <= MAX_ITERATIONS &&
    salt.length > 0 &&
    storedKey.length === SCRAM_KEY_BYTES &&
    serverKey.length === SCRAM_KEY_BYTES
  )
}

/** Empty when it is not base64 as it would be written. */
function decodeBase64(text = ''): Buffer {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : Buffer.alloc(0)
}
