import type { Pathname } from '../files/pathname.js'

/** One of the files that a {@link BackupSource} was asked for. */
export type SourceFile =
  | {
      readonly type: 'file'
      readonly pathname: Pathname
      /** In bytes, as the source has it before the first byte was read. */
      readonly size: number
      readonly modified: Date
      /**
       * Its bytes, once; each chunk is to be used before the next one is asked for.
       *
       * @throws {@link SourceReadError}
       */
      readonly chunks: () => AsyncIterable<Buffer>
    }
  | { readonly type: 'absent'; readonly pathname: Pathname }
  | {
      readonly type: 'unreadable'
      readonly pathname: Pathname
      /** Why, in the words of the system: `Permission denied`. */
      readonly message: string
    }

/** A file of a source could not be read to its end. */
export class SourceReadError extends Error {
  /** What more is known, one line. */
  readonly detail: string | undefined

  constructor(message: string, detail?: string) {
    super(message)
    this.detail = detail
  }
}

/**
 * Where the bytes of a backup come from: whoever reads from it does not know whether that is a directory, or an archive that
 * is read once from its start to its end. So it is asked for many files at once, and gives them in an order of its own.
 *
 * Nothing that it gives is trusted: who reads compares it with a manifest.
 */
export interface BackupSource {
  /** As it is shown. */
  readonly place: string
  /**
   * Gives each of the wanted files. A file's chunks have to be read before the next file is asked for; a file whose chunks are
   * not asked for is passed over.
   *
   * @param wanted - may be shared by several calls, which then work beside each other
   */
  files(wanted: Iterable<Pathname>): AsyncIterable<SourceFile>
  /**
   * Gives each of the wanted files, and what matches `also` in `pg_wal` or at the top; in several lanes that work beside each
   * other, where it can be in any of them. All of them have to be read.
   */
  lanes(
    wanted: Iterable<Pathname>,
    count: number,
    also: RegExp | undefined,
  ): readonly AsyncIterable<SourceFile>[]
}
