import { setTimeout as sleep } from 'node:timers/promises'
import { isPbManifestError, PbManifestError } from '../../errors.js'
import { throwIfAborted } from '../../files/yielder.js'
import { isSilence } from './answer-watch.js'
import { DatabaseError } from './pg.js'

/** What is done when a connection is lost over which files are read. */
export interface ConnectionRetries {
  /** How often in a row it is tried to connect again. */
  readonly limit: number
  /** Ends the waiting. */
  readonly signal: AbortSignal
  /** Is told what was lost, when there is another connection. */
  readonly onReconnect: (loss: PbManifestError, attempt: number) => void
}

/** Ended by an administrator, a crash, or a timeout; and all that is about connections. */
const endOfConnection = /^(?:57P0[125]|25P03|08...)$/

/** There are too many connections: the one that was lost may still be among them. */
const TOO_MANY_CONNECTIONS = '53300'

/** Whether this says that a connection is gone, and not what was asked for was refused. Too long a silence is final. */
function isLoss(error: unknown): error is PbManifestError {
  if (!isPbManifestError(error) || error.code !== 'SERVER') return false
  const { cause } = error
  if (cause instanceof DatabaseError) return endOfConnection.test(cause.code ?? '')
  return cause instanceof Error && !isPbManifestError(cause) && !isSilence(cause)
}

/** Whether it may work a little later. A server that shuts down, or is another one, says so. */
function mayPass(error: unknown): boolean {
  if (isLoss(error)) return true
  const cause = isPbManifestError(error) ? error.cause : undefined
  return cause instanceof DatabaseError && cause.code === TOO_MANY_CONNECTIONS
}

/** The first time at once: what was cut for its idleness is there again. */
function delayBefore(attempt: number): number {
  return attempt === 1 ? 0 : 1000 * Math.min(2 ** (attempt - 2), 30)
}

/** Connects again what was lost, so often in a row as is allowed, waiting longer each time. */
export class LostConnections {
  readonly #retries: ConnectionRetries | undefined
  #inARow = 0

  /** @param retries - `undefined`: a loss is final */
  constructor(retries: ConnectionRetries | undefined) {
    this.#retries = retries
  }

  /** The work goes on. */
  forget(): void {
    this.#inARow = 0
  }

  /**
   * Resolves when there is another connection.
   *
   * @param error - what went wrong; thrown when it is no loss, or there is no connection after all attempts
   * @throws {@link PbManifestError} `SERVER` or `ABORTED`
   */
  async replace(error: unknown, renew: () => Promise<void>): Promise<void> {
    if (this.#retries === undefined || !isLoss(error)) throw error
    const { limit, signal, onReconnect } = this.#retries
    while (this.#inARow < limit) {
      const attempt = ++this.#inARow
      try {
        await sleep(delayBefore(attempt), undefined, { signal })
        await renew()
        return onReconnect(error, attempt)
      } catch (failure) {
        throwIfAborted(signal)
        if (!mayPass(failure)) throw failure
      }
    }
    const { code, message, cause, details, hint } = error
    const tried = `It was tried ${limit === 1 ? 'once' : `${limit} times`} to connect again.`
    throw new PbManifestError(code, message, {
      cause,
      details: limit === 0 ? details : [...details, tried],
      ...(hint !== undefined && { hint }),
    })
  }
}
