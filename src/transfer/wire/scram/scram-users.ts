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

/** The users and their verifiers. */
export class ScramUsers {
  readonly #verifiers: ReadonlyMap<string, ScramVerifier>
  readonly #mockKey: Uint8Array

  /**
   * @param mockKey - makes the salts of unknown users: secret, and the same after a restart, or a salt that has changed
   *   would tell that there is no such user. PostgreSQL has its mock authentication nonce in pg_control for it.
   */
  constructor(verifiers: ReadonlyMap<string, ScramVerifier>, mockKey: Uint8Array = randomBytes(32)) {
    this.#verifiers = verifiers
    this.#mockKey = mockKey
  }

  identify(user: string): ScramIdentity {
    const verifier = this.#verifiers.get(user)
    return verifier === undefined
      ? { verifier: this.#mock(user), isKnown: false }
      : { verifier, isKnown: true }
  }

  /** Salt and iterations look like those of the first user, since most come from the same server. */
  #mock(user: string): ScramVerifier {
    const [model] = this.#verifiers.values()
    const saltBytes = Math.min(model?.salt.length ?? SCRAM_SALT_BYTES, SCRAM_KEY_BYTES)
    return {
      iterations: model?.iterations ?? SCRAM_ITERATIONS,
      salt: sha256(user, this.#mockKey).subarray(0, saltBytes),
      storedKey: randomBytes(SCRAM_KEY_BYTES),
      serverKey: randomBytes(SCRAM_KEY_BYTES),
    }
  }
}
