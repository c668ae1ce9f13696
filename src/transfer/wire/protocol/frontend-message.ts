/** What may come before the first message that has a type. */
export type StartupMessage =
  | { readonly type: 'ssl-request' }
  | { readonly type: 'gssenc-request' }
  | { readonly type: 'cancel-request'; readonly pid: number; readonly secret: Buffer }
  | StartupPacket

/** Opens a session. */
export interface StartupPacket {
  readonly type: 'startup'
  /** Of protocol 3. */
  readonly minorVersion: number
  readonly parameters: ReadonlyMap<string, string>
}

/** What a client sends after its startup packet. */
export type FrontendMessage =
  /** Without the final NUL. */
  | { readonly type: 'query'; readonly text: Buffer }
  /** A password or SASL data; what it holds depends on what was asked for. */
  | { readonly type: 'authentication'; readonly payload: Buffer }
  | { readonly type: 'extended-query' }
  | { readonly type: 'flush' }
  | { readonly type: 'sync' }
  | { readonly type: 'function-call' }
  /** CopyData, CopyDone or CopyFail. */
  | { readonly type: 'copy' }
  | { readonly type: 'terminate' }
