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
