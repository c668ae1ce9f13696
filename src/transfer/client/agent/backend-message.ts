import type { SessionNotice } from '../../session/backup-session.js'

/** A value of a row, in text format. Bytes that are no text come as a pathname's do (`files/pathname.ts`). */
export type Value = string | null

/** What an agent says while it answers a command. */
export type Answer =
  | { readonly type: 'columns'; readonly names: readonly string[] }
  | { readonly type: 'row'; readonly values: readonly Value[] }
  /** Data of a COPY, in pieces of any size. */
  | { readonly type: 'data'; readonly bytes: Buffer }
  /** A result has ended. */
  | { readonly type: 'complete'; readonly tag: string }

/** A message of the protocol, as far as an agent sends it once it has let somebody in. */
export type BackendMessage =
  | Answer
  | { readonly type: 'notice'; readonly notice: SessionNotice }
  | { readonly type: 'error'; readonly error: ReportedError }
  /** The command is over. */
  | { readonly type: 'ready' }

/** What an ErrorResponse holds. */
export interface ReportedError {
  /** After one that is fatal, the connection ends. */
  readonly isFatal: boolean
  readonly sqlstate: string
  readonly message: string
  readonly detail: string | undefined
  readonly hint: string | undefined
}
