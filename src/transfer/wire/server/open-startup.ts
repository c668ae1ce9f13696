import { type SecureContext, TLSSocket } from 'node:tls'
import { type StartupMessage, type StartupPacket, unsupportedProtocol } from '../protocol/startup-packet.js'
import { brokenProtocol, WireError } from '../wire-error.js'
import type { WireTls } from './authenticate.js'
import type { WireChannel } from './wire-channel.js'
import type { Duplex } from 'node:stream'
import { shortenText } from '../../../files/display-text.js'

/** What a connection turned out to be. */
export type Opening =
  | { readonly type: 'cancel-request'; readonly pid: number; readonly secret: Buffer }
  | { readonly type: 'startup'; readonly packet: StartupPacket; readonly secureSocket: TLSSocket | undefined }

const DECLINED = Buffer.from('N')
const ACCEPTED = Buffer.from('S')

/**
 * Reads what a client begins with, and encrypts the connection when it wants that.
 *
 * @throws {@link WireError} `FATAL`
 */
export async function openStartup(channel: WireChannel, tls: WireTls | undefined): Promise<Opening> {
  const answered = new Set<StartupMessage['type']>()
  let secureSocket: TLSSocket | undefined
  for (;;) {
    const message = await channel.readStartup()
    // Each may be asked for once, and nothing within encryption.
    if (answered.has(message.type) || (secureSocket !== undefined && isEncryptionRequest(message))) {
      throw unsupportedProtocol(1234, message.type === 'ssl-request' ? 5679 : 5680)
    }
    answered.add(message.type)
    switch (message.type) {
      case 'gssenc-request':
        channel.send(DECLINED)
        break
      case 'ssl-request':
        if (tls === undefined) channel.send(DECLINED)
        else secureSocket = await encrypt(channel, tls)
        break
      case 'cancel-request':
        return message
      case 'startup':
        requireTls(secureSocket, tls)
        return { type: 'startup', packet: message, secureSocket }
      default:
        message satisfies never
    }
  }
}

async function encrypt(channel: WireChannel, tls: WireTls): Promise<TLSSocket> {
  // Whoever sits in between could have put them there, and they would count as sent in the encrypted session
  // (CVE-2021-23222).
  if (channel.hasPendingBytes) {
    throw brokenProtocol(
      'received unencrypted data after SSL request',
      'This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.',
    )
  }
  return await channel.replaceStream(async (stream) => {
    stream.write(ACCEPTED)
    return await upgradeToTls(stream, tls.context, channel.over)
  })
}

function requireTls(secureSocket: TLSSocket | undefined, tls: WireTls | undefined): void {
  if (secureSocket !== undefined || tls?.isRequired !== true) return
  throw new WireError('28000', 'connection requires encryption', {
    severity: 'FATAL',
    hint: 'Connect with sslmode=require, or better verify-full.',
  })
}

function isEncryptionRequest({ type }: StartupMessage): boolean {
  return type === 'ssl-request' || type === 'gssenc-request'
}

/** The protocol's name in a handshake; a client may leave it out, but not name another one. */
const ALPN_PROTOCOL = 'postgresql'

/**
 * Makes the stream of a client an encrypted one. Resolves when the handshake is done. Any error of TLS after it (a broken
 * record, an alert, renegotiation) destroys the stream, with that error.
 *
 * @param signal - ends a handshake that takes too long
 * @throws {@link WireError} `FATAL` when it fails; the streams are destroyed then
 */
async function upgradeToTls(
  stream: Duplex,
  secureContext: SecureContext,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const secure = new TLSSocket(stream, {
    isServer: true,
    secureContext,
    ALPNProtocols: [ALPN_PROTOCOL],
  })
  // An attempt is an error, also where the context has no SSL_OP_NO_RENEGOTIATION.
  secure.disableRenegotiation()
  const giveUp = (): unknown => secure.destroy()
  signal.addEventListener('abort', giveUp, { once: true })
  let failure: Error | undefined
  const remember = (error: Error): void => {
    failure ??= error
  }
  try {
    await new Promise<void>((resolve, reject) => {
      secure.once('secure', resolve)
      // A handshake that fails says so only here, and closes.
      secure.once('_tlsError', remember)
      secure.on('error', remember)
      secure.once('close', reject)
    })
  } catch {
    throw new WireError('08P01', 'could not accept SSL connection', { severity: 'FATAL', cause: failure })
  } finally {
    signal.removeEventListener('abort', giveUp)
    secure.off('_tlsError', remember)
  }
  // Only `tls.Server` and `tls.connect` make errors of the socket of them.
  secure.on('_tlsError', (error: Error) => secure.destroy(error))
  return secure
}

/** What a startup packet asks for. */
export interface StartupParameters {
  readonly user: string
  readonly database: string
  readonly parameters: ReadonlyMap<string, string>
  /** Options of the protocol that we do not know. */
  readonly unknownOptions: readonly string[]
}

const PROTOCOL_OPTION = '_pq_.'

/** A boolean as a server reads it: any beginning of a word that means only one of them. */
const replicationValue = /^(?:t|tr|tru|true|y|ye|yes|on|1|f|fa|fal|fals|false|n|no|of|off|0|database)$/i

/**
 * Reads the parameters of a startup packet. Connections for replication and others are the same to us.
 *
 * @throws {@link WireError} `FATAL`
 * @see ProcessStartupPacket in PostgreSQL's src/backend/tcop/backend_startup.c
 */
export function readStartupParameters({ parameters }: StartupPacket): StartupParameters {
  const user = parameters.get('user')
  if (user === undefined || user === '') {
    throw new WireError('28000', 'no PostgreSQL user name specified in startup packet', { severity: 'FATAL' })
  }
  requireReplicationValue(parameters.get('replication') ?? 'off')
  return {
    user,
    database: parameters.get('database') || user,
    parameters,
    unknownOptions: [...parameters.keys()].filter((name) => name.startsWith(PROTOCOL_OPTION)),
  }
}

function requireReplicationValue(value: string): void {
  if (replicationValue.test(value)) return
  throw new WireError('22023', `invalid value for parameter "replication": "${shortenText(value)}"`, {
    severity: 'FATAL',
    hint: 'Valid values are: "false", 0, "true", 1, "database".',
  })
}
