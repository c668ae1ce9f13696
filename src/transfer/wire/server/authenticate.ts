import type { SecureContext, TLSSocket } from 'node:tls'
import { shortenText } from '../../../files/display-text.js'
import { backendMessages } from '../protocol/backend-messages.js'
import { ScramExchange, serverEndPoint } from '../scram/scram-exchange.js'
import type { ScramUsers } from '../scram/scram-users.js'
import { brokenProtocol, WireError } from '../wire-error.js'
import type { WireChannel } from './wire-channel.js'

/** PostgreSQL's limit, before anybody has shown who he is. */
const MAX_SASL_BYTES = 1024

const SCRAM = 'SCRAM-SHA-256'
const SCRAM_PLUS = 'SCRAM-SHA-256-PLUS'

/**
 * Lets the user in, up to and with AuthenticationOk.
 *
 * @throws {@link WireError} `FATAL`
 */
export async function authenticate(
  channel: WireChannel,
  user: string,
  authentication: WireAuthentication,
  secureSocket: TLSSocket | undefined,
): Promise<void> {
  switch (authentication.method) {
    case 'trust':
      break
    case 'scram-sha-256':
      await runScram(channel, user, authentication.users, secureSocket)
      break
    default:
      authentication satisfies never
  }
  channel.send(backendMessages.authenticationOk())
}

async function runScram(
  channel: WireChannel,
  user: string,
  users: ScramUsers,
  secureSocket: TLSSocket | undefined,
): Promise<void> {
  const endPoint = endPointOf(secureSocket)
  const mechanisms = endPoint === undefined ? [SCRAM] : [SCRAM_PLUS, SCRAM]
  channel.send(backendMessages.saslMechanisms(mechanisms))
  const { mechanism, data } = parseSaslInitialResponse(await readSasl(channel))
  if (!mechanisms.includes(mechanism)) {
    throw brokenProtocol('client selected an invalid SASL authentication mechanism')
  }
  const exchange = new ScramExchange({
    identity: users.identify(user),
    boundTo: mechanism === SCRAM_PLUS ? endPoint : undefined,
    isPlusOffered: endPoint !== undefined,
  })
  channel.send(backendMessages.saslContinue(exchange.start(data)))
  const serverFinal = exchange.finish(await readSasl(channel))
  if (serverFinal === undefined) {
    throw new WireError('28P01', `password authentication failed for user "${shortenText(user)}"`, {
      severity: 'FATAL',
    })
  }
  channel.send(backendMessages.saslFinal(serverFinal))
}

async function readSasl(channel: WireChannel): Promise<Buffer> {
  const message = await channel.readMessage(MAX_SASL_BYTES)
  if (message.type === 'authentication') return message.payload
  throw brokenProtocol(`expected SASL response, got message type "${message.type}"`)
}

function endPointOf(secureSocket: TLSSocket | undefined): Buffer | undefined {
  const certificate = secureSocket?.getCertificate()
  return certificate !== null && certificate !== undefined && 'raw' in certificate
    ? serverEndPoint(certificate.raw)
    : undefined
}

const LENGTH_BYTES = 4

interface SaslInitialResponse {
  readonly mechanism: string
  readonly data: Buffer
}

/**
 * Reads the payload of SASLInitialResponse: the mechanism, and what it begins with.
 *
 * @throws {@link WireError} `FATAL`
 */
function parseSaslInitialResponse(payload: Buffer): SaslInitialResponse {
  const nul = payload.indexOf(0)
  const start = nul + 1 + LENGTH_BYTES
  if (nul === -1 || start > payload.length) throw brokenProtocol('invalid SASL response')
  const length = payload.readInt32BE(nul + 1)
  // -1, no data, is allowed by the protocol, but SCRAM always begins with some.
  if (length !== payload.length - start) throw brokenProtocol('invalid SASL response')
  return { mechanism: payload.toString('latin1', 0, nul), data: payload.subarray(start) }
}

/** On what terms clients of one listener are let in. */
export interface WireAccess {
  readonly authentication: WireAuthentication
  /** Without it, requests for encryption are declined. */
  readonly tls?: WireTls | undefined
}

type WireAuthentication =
  /** **Lets everybody in, as any user.** For a Unix socket in a directory that nobody else can enter. */
  | { readonly method: 'trust' }
  /** With channel binding where there is TLS. */
  | { readonly method: 'scram-sha-256'; readonly users: ScramUsers }

export interface WireTls {
  /** Of `tls.createSecureContext`; made anew for new files. */
  readonly context: SecureContext
  /** Whether a client without encryption is turned away, before it is asked for a password. */
  readonly isRequired: boolean
}
