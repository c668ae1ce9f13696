import { randomBytes, timingSafeEqual } from 'node:crypto'

const SECRET_BYTES = 4

/** What a client needs to cancel a query of a connection from another one. */
export interface CancelKey {
  readonly pid: number
  readonly secret: Buffer
}

/** The connections whose queries can be cancelled. */
export class CancelTable {
  readonly #connections = new Map<number, { readonly secret: Buffer; readonly cancel: () => void }>()

  /** @param pid - nobody else's */
  register(pid: number, cancel: () => void): CancelKey {
    const secret = randomBytes(SECRET_BYTES)
    this.#connections.set(pid, { secret, cancel })
    return { pid, secret }
  }

  forget(pid: number): void {
    this.#connections.delete(pid)
  }

  /** Cancels what that connection is doing, if the secret is its own. */
  cancel({ pid, secret }: CancelKey): boolean {
    const connection = this.#connections.get(pid)
    if (connection === undefined || !timingSafeEqual(connection.secret, secret)) return false
    connection.cancel()
    return true
  }
}
