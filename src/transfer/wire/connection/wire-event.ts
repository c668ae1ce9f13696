import type { WireClose } from '../wire-handler.js'
import type { WireError } from '../wire-error.js'

/** What happened on a connection, for a log. `pid` is the number that the client knows the connection by. */
export type WireEvent = { readonly pid: number; readonly remote: string } & (
  | { readonly type: 'connected' }
  | {
      readonly type: 'authenticated'
      readonly user: string
      readonly database: string
      readonly isEncrypted: boolean
    }
  /** The connection ended with an error before its user was known, or because of who the user is not. */
  | { readonly type: 'refused'; readonly user: string | undefined; readonly error: WireError }
  /** The client wants a query of another connection cancelled. */
  | { readonly type: 'cancel-request'; readonly isGranted: boolean }
  /** A fault of ours; the client was told no more than that. */
  | { readonly type: 'internal-error'; readonly error: unknown }
  /** The end of a connection that was authenticated, and the error that ended it, if any. */
  | { readonly type: 'disconnected'; readonly how: WireClose; readonly error: WireError | undefined }
)
