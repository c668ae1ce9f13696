/** The memory through which bytes come. */
export interface HashBuffers {
  readonly memory: SharedArrayBuffer
  /** Int32, one for each slot: 1 while its bytes are to be hashed. */
  readonly isFull: SharedArrayBuffer
  readonly slotBytes: number
}

/** More bytes of a stream, in a slot; or, without them, the wish for its digest. */
export type HashMessage =
  | { readonly stream: number; readonly slot: number; readonly length: number }
  | { readonly stream: number; readonly slot?: never }

/** The digest of a stream, hexadecimal. */
export interface HashReply {
  readonly stream: number
  readonly checksum: string
}
