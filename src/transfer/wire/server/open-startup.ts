import type { TLSSocket } from 'node:tls'
import { type StartupMessage, type StartupPacket, unsupportedProtocol } from '../protocol/startup-packet.js'
import { brokenProtocol, WireError } from '../wire-error.js'
import { upgradeToTls } from './upgrade-to-tls.js'
import type { WireTls } from './wire-access.js'
import type { WireChannel } from './wire-channel.js'

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
