/** A page whose checksum is wrong. */
export interface PageMismatch {
  /** Counted from the beginning of the relation's file, the way of `dd skip=`. */
  readonly block: number
  readonly computed: number
  readonly stored: number
}

/** What is wrong with the content of a file, or worth to be counted. Plain data: it crosses threads. */
export interface ContentFindings {
  /** The first few. */
  readonly mismatches: readonly PageMismatch[]
  readonly mismatchCount: number
  /** Pages that do not have their checksum either, but that the replay of the backup's WAL writes anew. */
  readonly newerCount: number
  /** What follows the last whole page. */
  readonly partialPage: { readonly block: number; readonly bytes: number } | undefined
  /** What is wrong with the layout of an incremental file: `has ...`. */
  readonly layoutFault: string | undefined
}
