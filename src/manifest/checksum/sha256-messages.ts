/** The memory through which bytes come. */
export interface HashBuffers {
  readonly memory: SharedArrayBuffer
  /** Int32, one for each slot: 1 while its bytes are to be hashed. */
  readonly isFull: SharedArrayBuffer
  /** Int32: 1 when a digest is in `digest`. */
  readonly isDigested: SharedArrayBuffer
  /** Uint8, 32 of them. */
  readonly digest: SharedArrayBuffer
  readonly slotBytes: number
}

/** What a stream is to do: take bytes from a slot, become a copy of another, tell its digest, or go. */
export type HashMessage =
  | { readonly type: 'update'; readonly stream: number; readonly slot: number; readonly length: number }
  | { readonly type: 'copy'; readonly stream: number; readonly of: number }
  | { readonly type: 'digest'; readonly stream: number }
  | { readonly type: 'drop'; readonly stream: number }
