import { createHash, createHmac, randomBytes } from 'node:crypto'
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

/** What a user is checked against. For an unknown one everything is made up, and no password is right. */
export interface ScramIdentity {
  readonly verifier: ScramVerifier
  readonly isKnown: boolean
}

/** What a client sees of a verifier, besides the salt itself. */
interface SaltForm {
  readonly iterations: number
  readonly saltBytes: number
}

const usualForm: SaltForm = { iterations: SCRAM_ITERATIONS, saltBytes: SCRAM_SALT_BYTES }

/** The users and their verifiers. */
export class ScramUsers {
  readonly #verifiers: ReadonlyMap<string, ScramVerifier>
  readonly #saltKey: Uint8Array

  /**
   * @param saltKey - makes the salts of unknown users. Secret, and the same for ever, whatever becomes of the users: a salt
   *   that has changed would tell that there is no such user.
   */
  constructor(verifiers: ReadonlyMap<string, ScramVerifier>, saltKey: Uint8Array = randomBytes(32)) {
    this.#verifiers = verifiers
    this.#saltKey = saltKey
  }

  identify(user: string): ScramIdentity {
    const verifier = this.#verifiers.get(user)
    return verifier === undefined
      ? { verifier: this.#mock(user), isKnown: false }
      : { verifier, isKnown: true }
  }

  #mock(user: string): ScramVerifier {
    const { iterations, saltBytes } = this.#chooseForm(user)
    return {
      iterations,
      // As a server makes it, so that the two do not differ.
      salt: sha256(user, this.#saltKey).subarray(0, saltBytes),
      storedKey: randomBytes(SCRAM_KEY_BYTES),
      serverKey: randomBytes(SCRAM_KEY_BYTES),
    }
  }

  /** One of those that known users have, and that no other user changes who comes or goes. */
  #chooseForm(user: string): SaltForm {
    const forms = Array.from(this.#verifiers.values(), ({ iterations, salt }) => {
      const saltBytes = Math.min(salt.length, SCRAM_KEY_BYTES)
      const weight = sha256(`${iterations} ${saltBytes} `, user, this.#saltKey).toString('hex')
      return { iterations, saltBytes, weight }
    })
    const [heaviest = usualForm] = forms.toSorted((left, right) => (left.weight < right.weight ? 1 : -1))
    return heaviest
  }
}
