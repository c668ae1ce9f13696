import { WireError } from '../wire-error.js'
import { SCRAM_KEY_BYTES } from './scram-verifier.js'

export interface ClientFirst {
  /** `n`: the client does no channel binding; `y`: it would, but thinks that we do not; `p`: it does. */
  readonly bindingFlag: 'n' | 'y' | 'p'
  readonly gs2Header: string
  /** The message without that header. */
  readonly bare: string
  readonly nonce: string
}

export interface ClientFinal {
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
export function parseClientFirst(message: Buffer): ClientFirst {
  // Byte for byte, since what is signed are bytes.
  const text = message.toString('latin1')
  const [, gs2Header, flag, bare, nonce] = clientFirst.exec(text) ?? []
  if (gs2Header === undefined || bare === undefined || nonce === undefined) throw malformed()
  return { bindingFlag: flag === 'n' || flag === 'y' ? flag : 'p', gs2Header, bare, nonce }
}

/** @throws {@link WireError} `FATAL` */
export function parseClientFinal(message: Buffer): ClientFinal {
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
