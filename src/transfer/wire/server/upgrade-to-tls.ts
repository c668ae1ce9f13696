import type { Duplex } from 'node:stream'
import { type SecureContext, TLSSocket } from 'node:tls'
import { WireError } from '../wire-error.js'

/** The protocol's name in a handshake; a client may leave it out, but not name another one. */
const ALPN_PROTOCOL = 'postgresql'

/**
 * Makes the stream of a client an encrypted one. Resolves when the handshake is done. Any error of TLS after it (a broken
 * record, an alert, renegotiation) destroys the stream, with that error.
 *
 * @param signal - ends a handshake that takes too long
 * @throws {@link WireError} `FATAL` when it fails; the streams are destroyed then
 */
export async function upgradeToTls(
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
