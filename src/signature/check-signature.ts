import { createHash, type Hash } from 'node:crypto'
import { isPbManifestError } from '../errors.js'
import { readSmallFile, requireSmallFile } from '../files/read-small-file.js'
import { findAllowedSigner, parseAllowedSigners, showPrincipals } from './allowed-signers.js'
import { fingerprintOf, parsePublicKey, type SshPublicKey, verifyWithKey } from './ssh-key.js'
import { SshFormatError } from './ssh-wire.js'
import { bytesToSign, parseSshSignature, type SshSignature } from './sshsig.js'

/** By whom something has to be signed. */
export interface SignatureDemand {
  /** A file of allowed signers, in the format of `ssh-keygen`. */
  readonly allowedSigners: string
  /** Who of them. Default: any. */
  readonly signerIdentity?: string
  /** The file of the signature. */
  readonly signaturePath?: string
}

/**
 * What can be wrong with a signature. Programs may rely on these words.
 *
 * - `signature-missing`: there is none
 * - `signature-invalid`: it is not of this file, is for another purpose, or cannot be read as a signature
 * - `signer-not-allowed`: it is good, but its key is not one that may sign this, or not now
 */
export const signatureProblemKinds = ['signature-missing', 'signature-invalid', 'signer-not-allowed'] as const

/** What is known of a problem with a signature, as values. Each is there where it has a meaning. */
interface SignatureFacts {
  /** The file of the signature. */
  readonly signaturePath?: string
  /** By which key the signature is good, although that may not sign. */
  readonly keyType?: string
  readonly fingerprint?: string
}

/** Something that is wrong with a signature. */
export interface SignatureProblem extends SignatureFacts {
  readonly kind: (typeof signatureProblemKinds)[number]
  /** One line. */
  readonly message: string
  /** What more is known, one line. */
  readonly detail: string
}

/** A signature that is good, by an allowed signer. */
export interface GoodSignature {
  /** Its file. */
  readonly path: string
  /** Whose key it is, as the file of allowed signers says. */
  readonly signer: string
  /** `ssh-ed25519` and the like. */
  readonly keyType: string
  /** Of the key, as `ssh-keygen -l` shows it. */
  readonly fingerprint: string
  readonly namespace: string
}

/** What is known of a signature that was demanded. */
export type SignatureResult =
  | { readonly signature: GoodSignature; readonly problem?: never }
  | { readonly signature: null; readonly problem: SignatureProblem }

const MAX_SIGNATURE_BYTES = 64 * 1024
const MAX_SIGNERS_BYTES = 4 * 1024 * 1024

class SignatureFault extends Error {
  readonly problem: SignatureProblem

  constructor(kind: SignatureProblem['kind'], message: string, detail: string, facts: SignatureFacts = {}) {
    super(message)
    this.problem = { kind, message, detail, ...facts }
  }
}

/**
 * Checks the signature of a file whose bytes pass by, because they are read for another purpose too: what is checked is
 * what was read.
 */
export class SignatureCheck {
  readonly #demand: SignatureDemand
  readonly #namespace: string
  readonly #signers: ReturnType<typeof parseAllowedSigners>
  readonly #found: FoundSignature | SignatureFault
  readonly #hash: Hash | undefined

  /**
   * Reads the file of allowed signers, and the signature.
   *
   * @param what - what is signed: `backup manifest`
   * @param places - where the signature may be, if the demand does not say it; the first one counts
   * @throws {@link PbManifestError} `IO`, for the file of allowed signers
   */
  constructor(demand: SignatureDemand, what: string, namespace: string, places: readonly string[]) {
    const { signaturePath } = demand
    this.#demand = demand
    this.#namespace = namespace
    this.#signers = parseAllowedSigners(requireSmallFile(demand.allowedSigners, MAX_SIGNERS_BYTES))
    this.#found = attempt(() =>
      findSignature(what, namespace, signaturePath === undefined ? places : [signaturePath]),
    )
    if (!(this.#found instanceof SignatureFault)) this.#hash = createHash(this.#found.content.hash)
  }

  /** The file that is taken for the signature; `undefined` when there is none that can be. */
  get path(): string | undefined {
    return this.#found instanceof SignatureFault ? undefined : this.#found.path
  }

  /** Is given the file's bytes, in their order. */
  update(chunk: Buffer): void {
    this.#hash?.update(chunk)
  }

  /** To be called once, after the last byte. */
  conclude(): SignatureResult {
    const result = attempt(() => this.#judge())
    return result instanceof SignatureFault
      ? { signature: null, problem: result.problem }
      : { signature: result }
  }

  #judge(): GoodSignature {
    if (this.#found instanceof SignatureFault) throw this.#found
    const { path, content, key } = this.#found
    const digest = this.#hash?.digest() ?? Buffer.alloc(0)
    const isGood = understand(path, () =>
      verifyWithKey(key, bytesToSign(this.#namespace, content.hash, digest), content.signature),
    )
    if (!isGood) throw invalid(path, 'it is of other bytes, or by another key')
    const { allowedSigners, signerIdentity: identity } = this.#demand
    const demand = { key: key.blob, namespace: this.#namespace, identity, now: Date.now() }
    const signer = findAllowedSigner(this.#signers, demand)
    if (typeof signer === 'string') {
      const message = `signature "${path}" is by nobody who is allowed to sign`
      const facts = { signaturePath: path, keyType: key.type, fingerprint: fingerprintOf(key.blob) }
      throw new SignatureFault('signer-not-allowed', message, `by "${allowedSigners}", ${signer}`, facts)
    }
    return {
      path,
      signer: showPrincipals(signer),
      keyType: key.type,
      fingerprint: fingerprintOf(key.blob),
      namespace: this.#namespace,
    }
  }
}

interface FoundSignature {
  readonly path: string
  readonly content: SshSignature
  readonly key: SshPublicKey
}

function findSignature(what: string, namespace: string, places: readonly string[]): FoundSignature {
  for (const path of places) {
    const bytes = readSignature(path)
    if (bytes === undefined) continue
    const content = understand(path, () => parseSshSignature(bytes))
    if (content.namespace !== namespace) {
      throw invalid(path, `it is for namespace "${content.namespace}", not "${namespace}"`)
    }
    return { path, content, key: understand(path, () => parsePublicKey(content.publicKey)) }
  }
  const looked = places.map((path) => `"${path}"`).join(' nor ')
  throw new SignatureFault('signature-missing', `the ${what} is not signed`, `there is no ${looked}`)
}

function readSignature(path: string): Buffer | undefined {
  try {
    return readSmallFile(path, MAX_SIGNATURE_BYTES)
  } catch (error) {
    if (isPbManifestError(error)) throw invalid(path, error.message)
    throw error
  }
}

function understand<Result>(path: string, read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    if (error instanceof SshFormatError) throw invalid(path, error.message)
    throw error
  }
}

function invalid(path: string, why: string): SignatureFault {
  const message = `signature "${path}" is not valid`
  return new SignatureFault('signature-invalid', message, why, { signaturePath: path })
}

function attempt<Result>(step: () => Result): Result | SignatureFault {
  try {
    return step()
  } catch (error) {
    if (error instanceof SignatureFault) return error
    throw error
  }
}
