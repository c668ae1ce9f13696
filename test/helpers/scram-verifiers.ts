/* oxlint-disable no-misleading-character-class, no-irregular-whitespace -- these are the characters that RFC 3454 names */

import { pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import {
  hmac,
  SCRAM_ITERATIONS,
  SCRAM_KEY_BYTES,
  SCRAM_SALT_BYTES,
  type ScramVerifier,
  sha256,
} from '../../src/transfer/wire/scram/scram-users.js'

/** The text that `parseScramVerifier` reads. */
export function formatScramVerifier({ iterations, salt, storedKey, serverKey }: ScramVerifier): string {
  const [saltText, stored, server] = [salt, storedKey, serverKey].map((bytes) => bytes.toString('base64'))
  return `SCRAM-SHA-256$${String(iterations)}:${saltText ?? ''}$${stored ?? ''}:${server ?? ''}`
}

/** Makes the verifier of a password. */
export async function makeScramVerifier(
  password: string,
  salt: Buffer = randomBytes(SCRAM_SALT_BYTES),
  iterations: number = SCRAM_ITERATIONS,
): Promise<ScramVerifier> {
  const salted = await promisify(pbkdf2)(saslprep(password), salt, iterations, SCRAM_KEY_BYTES, 'sha256')
  return {
    iterations,
    salt,
    storedKey: sha256(hmac(salted, 'Client Key')),
    serverKey: hmac(salted, 'Server Key'),
  }
}

/** RFC 3454, table C.1.2. */
const nonAsciiSpace = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g
/** RFC 3454, table B.1: commonly mapped to nothing. */
const mappedToNothing = /[\u00ad\u034f\u1806\u180b-\u180d\u200c\u200d\u2060\ufe00-\ufe0f\ufeff]/g

/**
 * Brings a password into the form that is hashed, as far as clients do it too: spaces, characters that mean nothing,
 * compatibility forms. Which characters a password may hold is not checked; PostgreSQL uses those that RFC 4013 forbids
 * as they are, too.
 *
 * @see pg_saslprep in PostgreSQL's src/common/saslprep.c
 */
function saslprep(password: string): string {
  return password.replace(nonAsciiSpace, ' ').replace(mappedToNothing, '').normalize('NFKC')
}
