/** A page that is not as it should be. Whether that matters may depend on the WAL. */
export interface BadPage {
  /** Counted from the beginning of the relation's file, the way of `dd skip=`. */
  readonly block: number
  /** Its own: the end of the last WAL record that changed it. */
  readonly lsn: bigint
  /** Whether it was changed while the backup was taken, by its LSN. */
  readonly isNewer: boolean
  /** The checksum that it should have and that it has; `undefined` for a page that looks new, but is not all zeros. */
  readonly checksums: { readonly computed: number; readonly stored: number } | undefined
}

/** What is wrong with the content of a file, or worth to be counted. Plain data: it crosses threads. */
export interface ContentFindings {
  /** The first few. */
  readonly badPages: readonly BadPage[]
  /** How many there are besides, of those that were changed while the backup was taken and of others. */
  readonly furtherNewer: number
  readonly furtherOlder: number
  /** What follows the last whole page. */
  readonly partialPage: { readonly block: number; readonly bytes: number } | undefined
  /** What is wrong with the layout of an incremental file: `has ...`. */
  readonly layoutFault: string | undefined
}
