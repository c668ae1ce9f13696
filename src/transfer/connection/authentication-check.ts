import { authenticationCodes as codes } from '../wire/protocol/backend-messages.js'
import { PbManifestError } from '../../errors.js'

/** libpq's names of the ways in which a server may have a client prove who it is. */
const methods = ['password', 'md5', 'gss', 'sspi', 'scram-sha-256', 'oauth', 'none'] as const

type AuthenticationMethod = (typeof methods)[number]

/** What the user demands of a server's authentication. Plain data: it crosses threads. */
export interface AuthenticationDemands {
  /** `require_auth`; `undefined`: any. */
  readonly requiredMethods:
    { readonly text: string; readonly allowed: readonly AuthenticationMethod[] } | undefined
  readonly channelBinding: 'disable' | 'prefer' | 'require'
}

/**
 * Reads libpq's `require_auth`.
 *
 * @throws {@link PbManifestError} `USAGE`
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-REQUIRE-AUTH
 */
export function readRequiredMethods(text: string | undefined): AuthenticationDemands['requiredMethods'] {
  if (text === undefined || text === '') return undefined
  const words = text.split(',').map((word) => word.trim())
  const names = words.map((word) => word.replace(/^!\s*/, ''))
  const isNegated = words[0]?.startsWith('!') === true
  for (const [index, name] of names.entries()) {
    if (!methods.some((method) => method === name)) throw usage(`invalid require_auth value: "${text}"`)
    if (names.indexOf(name) < index) throw usage(`require_auth method "${name}" is specified more than once`)
    if (words[index]?.startsWith('!') !== isNegated) {
      const [one, other] = isNegated ? ['', 'negative'] : ['negative ', 'non-negative']
      throw usage(`${one}require_auth method "${name}" cannot be mixed with ${other} methods`)
    }
  }
  return { text, allowed: methods.filter((method) => names.includes(method) !== isNegated) }
}

/** What a server asks for in an Authentication message that we cannot give. By the message's code. */
const unsupported: Readonly<Record<number, string>> = {
  2: 'Kerberos 5 authentication not supported',
  7: 'GSSAPI authentication not supported',
  8: 'GSSAPI authentication not supported',
  9: 'SSPI authentication not supported',
}

/** What else a server may ask for, and the words of libpq for it. */
const requests: Readonly<Record<number, { readonly method: AuthenticationMethod; readonly words: string }>> =
  {
    3: { method: 'password', words: 'server requested a cleartext password' },
    [codes.md5]: { method: 'md5', words: 'server requested a hashed password' },
    [codes.sasl]: { method: 'scram-sha-256', words: 'server requested SASL authentication' },
  }

/** A server asks for a proof that we cannot give, or gives none itself. */
export class AuthenticationError extends Error {
  readonly hint: string | undefined

  constructor(message: string, hint?: string) {
    super(message)
    this.hint = hint
  }
}

/**
 * Follows the Authentication messages of one connection, and refuses what we cannot do, or the user does not want.
 *
 * @see src/interfaces/libpq/fe-auth.c (`check_expected_areq`)
 */
export class AuthenticationCheck {
  readonly #demands: AuthenticationDemands
  readonly #isEncrypted: boolean
  #asked: AuthenticationMethod = 'none'
  #isBound = false
  /** SASL has begun, and the server has not shown yet that it knows the password, too. */
  #isProofDue = false

  constructor(demands: AuthenticationDemands, isEncrypted: boolean) {
    this.#demands = demands
    this.#isEncrypted = isEncrypted
  }

  /** @throws {@link AuthenticationError} */
  accept({ code, data }: { readonly code: number; readonly data: Buffer }): void {
    if (code === codes.saslContinue) return
    if (code === codes.saslFinal) {
      this.#isProofDue = false
      return
    }
    if (code === codes.ok) return this.#finish()
    const request = requests[code]
    if (request === undefined) {
      throw new AuthenticationError(
        unsupported[code] ?? `authentication method ${code} not supported`,
        'Have a line of pg_hba.conf let this role in by scram-sha-256, or by a certificate.',
      )
    }
    this.#asked = request.method
    this.#require(request.method, request.words)
    if (code === codes.sasl) this.#beginSasl(data.toString('latin1').split('\0').filter(Boolean))
    else if (this.#demands.channelBinding === 'require') {
      throw new AuthenticationError(
        "channel binding required but not supported by server's authentication request",
      )
    }
  }

  #beginSasl(mechanisms: readonly string[]): void {
    const isBinding = this.#demands.channelBinding === 'require'
    if (isBinding && !this.#isEncrypted) {
      throw new AuthenticationError('channel binding required, but SSL not in use')
    }
    this.#isBound =
      this.#isEncrypted &&
      this.#demands.channelBinding !== 'disable' &&
      mechanisms.includes('SCRAM-SHA-256-PLUS')
    if (isBinding && !this.#isBound) {
      throw new AuthenticationError(
        'channel binding is required, but server did not offer an authentication method that supports channel binding',
      )
    }
    if (!this.#isBound && !mechanisms.includes('SCRAM-SHA-256')) {
      throw new AuthenticationError("none of the server's SASL authentication mechanisms are supported")
    }
    this.#isProofDue = true
  }

  #finish(): void {
    if (this.#asked === 'none') this.#require('none', 'server did not complete authentication')
    if (this.#demands.channelBinding === 'require' && !this.#isBound) {
      throw new AuthenticationError(
        'channel binding required, but server authenticated client without channel binding',
      )
    }
    if (this.#isProofDue) throw new AuthenticationError('server did not complete authentication')
  }

  #require(method: AuthenticationMethod, words: string): void {
    const { requiredMethods } = this.#demands
    if (requiredMethods === undefined || requiredMethods.allowed.includes(method)) return
    throw new AuthenticationError(
      `authentication method requirement "${requiredMethods.text}" failed: ${words}`,
    )
  }
}

function usage(message: string): PbManifestError {
  return new PbManifestError('USAGE', message)
}
