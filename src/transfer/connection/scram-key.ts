import { AsyncLocalStorage } from 'node:async_hooks'
import { createHmac, createSecretKey } from 'node:crypto'
import { Yielder } from '../../files/yielder.js'

/** PBKDF2 with HMAC-SHA-256 for one block of 32 bytes, which is SCRAM's SaltedPassword, as `pg` calls for it. */
export type DeriveKey = (password: string, salt: Buffer, iterations: number) => Promise<ArrayBuffer | Buffer>

/**
 * A server may ask for 2^31 - 1 iterations. So many would take a thread of Node's pool for minutes, and no process ends
 * before its pool has: neither by a signal nor by a timeout.
 */
const MAX_UNSTOPPABLE = 1_000_000

/**
 * Once one is in use, Node before 24 follows every promise of its thread, until it is disabled: that took a tenth of the
 * processor time of a small backup.
 */
const connectionEnd = new AsyncLocalStorage<AbortSignal>()

/** The ends of the connections that may be deriving a key. */
const deriving = new Set<AbortSignal>()

/**
 * Calls what makes `pg` derive a key, now or later.
 *
 * @param signal - fires when the connection that it is for has ended: then the key is of no use
 */
export function untilConnectionEnds(signal: AbortSignal, call: () => void): void {
  deriving.add(signal)
  signal.addEventListener('abort', () => deriving.delete(signal), { once: true })
  connectionEnd.run(signal, call)
}

/** The connection has been let in: its key is derived, if there was one. */
export function endDerivation(signal: AbortSignal): void {
  deriving.delete(signal)
  if (deriving.size === 0) connectionEnd.disable()
}

/** Has a long derivation done step by step, ten to twenty times slower, so that it can be ended at any time. */
export function stoppable(derive: DeriveKey): DeriveKey {
  return (password, salt, iterations) =>
    iterations > MAX_UNSTOPPABLE
      ? deriveInSteps(password, salt, iterations)
      : derive(password, salt, iterations)
}

/** @see https://www.rfc-editor.org/rfc/rfc8018#section-5.2 */
async function deriveInSteps(password: string, salt: Buffer, iterations: number): Promise<Buffer> {
  const key = createSecretKey(Buffer.from(password))
  const yielder = new Yielder(connectionEnd.getStore())
  let step = createHmac('sha256', key)
    .update(salt)
    .update(Buffer.of(0, 0, 0, 1))
    .digest()
  const sum = Buffer.from(step)
  for (let done = 1; done < iterations; done++) {
    if (yielder.isDue) await yielder.yield()
    step = createHmac('sha256', key).update(step).digest()
    for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) ^ (step[at] ?? 0)
  }
  return sum
}
