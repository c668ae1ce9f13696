import type { Socket } from 'node:net'
import { PbManifestError } from '../../errors.js'
import { type Client, DatabaseError } from './pg.js'

/** No connection is silent for longer than this, in milliseconds: many a NAT or proxy cuts what is, some after 60 s. */
const LONGEST_SILENCE_MS = 50_000

/** So often, in milliseconds, one looks. */
const INTERVAL_MS = 5000

/** Whoever has heard nothing for so long, in milliseconds, may have been cut off for it. */
const IDLE_MS = 20_000

/** When something came last on a connection. */
const lastHeard = new WeakMap<object, number>()

/**
 * Has a connection carry something now and then, whatever it waits for: backup mode is held by one that has nothing to do
 * until the last file is copied, and a checkpoint or an archive may take longer than a NAT or a proxy has patience.
 *
 * What is sent is Flush, which needs no answer and means nothing: a server that is at work reads it later. Only in the
 * middle of a stream of WAL it would be wrong, and there status updates come more often.
 *
 * @param silence - the longest one, in milliseconds
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-FLUSH
 */
export function keepAlive(client: Client, silence: number = LONGEST_SILENCE_MS): void {
  const stream = client.connection.stream as Socket
  let [read, written] = [stream.bytesRead, stream.bytesWritten]
  let writtenAt = performance.now()
  lastHeard.set(client, writtenAt)
  const timer = setInterval(
    () => {
      const now = performance.now()
      if (stream.bytesRead !== read) lastHeard.set(client, now)
      if (stream.bytesWritten !== written) writtenAt = now
      else if (now - writtenAt >= silence) client.connection.flush()
      read = stream.bytesRead
      written = stream.bytesWritten
    },
    Math.min(INTERVAL_MS, silence / 4),
  )
  timer.unref()
  client.once('end', () => clearInterval(timer))
}

/** Says what may be behind the loss of a connection over which nothing had come for long. */
export function explainLoss(error: PbManifestError, client: Client): PbManifestError {
  const now = performance.now()
  return explainSilence(error, now - (lastHeard.get(client) ?? now))
}

/**
 * The same for so many milliseconds.
 *
 * @param error - what the server itself said is left as it is
 */
export function explainSilence(error: PbManifestError, milliseconds: number): PbManifestError {
  const { code, message, details, hint, cause } = error
  if (milliseconds < IDLE_MS || hint !== undefined || cause instanceof DatabaseError) return error
  return new PbManifestError(code, message, {
    cause,
    details: [...details, `Nothing had come over this connection for ${Math.round(milliseconds / 1000)} s.`],
    hint: 'A firewall, NAT, load balancer or proxy in between may cut connections that are idle.',
  })
}
