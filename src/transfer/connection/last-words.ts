import type { Duplex } from 'node:stream'
import { describeSystemError } from '../../files/system-error.js'

/** For so long, in milliseconds, the end of what the other side has sent is waited for. */
const LONGEST_WAIT_MS = 5000

type Done = (error?: Error | null) => void

/**
 * Has a socket that cannot be written to any more read on to its end, before it fails. A server that ends a connection says why,
 * and closes it; whoever writes after that is told by the system that nobody reads it, and Node then destroys the socket with the
 * server's words unread in it. libpq reads on, too.
 *
 * @see src/interfaces/libpq/fe-misc.c (`pqSendSome`)
 */
export function hearLastWords(stream: Duplex): void {
  const afterThem =
    (done: Done): Done =>
    (error) => {
      if (isClosedThere(error) && !stream.readableEnded && !stream.destroyed) {
        atEnd(stream, () => done(error))
      } else done(error)
    }
  /* oxlint-disable no-underscore-dangle -- so Node calls what a stream writes by */
  const write = stream._write.bind(stream)
  const writeSeveral = stream._writev?.bind(stream)
  stream._write = (chunk: unknown, encoding, done) => write(chunk, encoding, afterThem(done))
  if (writeSeveral !== undefined) {
    stream._writev = (chunks, done) => writeSeveral(chunks, afterThem(done))
  }
  /* oxlint-enable no-underscore-dangle */
}

function isClosedThere(error: unknown): boolean {
  const { code } = describeSystemError(error) ?? {}
  return code === 'EPIPE' || code === 'ECONNRESET'
}

/** Calls back once: when all has been read, when the stream is destroyed, or when it takes too long. */
function atEnd(stream: Duplex, callback: () => void): void {
  const end = (): void => {
    clearTimeout(timer)
    stream.off('end', end)
    stream.off('close', end)
    callback()
  }
  const timer = setTimeout(end, LONGEST_WAIT_MS)
  stream.once('end', end)
  stream.once('close', end)
}
