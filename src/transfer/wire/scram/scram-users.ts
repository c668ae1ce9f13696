import { randomBytes } from 'node:crypto'
import {
  SCRAM_ITERATIONS,
  SCRAM_KEY_BYTES,
  SCRAM_SALT_BYTES,
  type ScramVerifier,
  sha256,
} from './scram-verifier.js'

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
