import type { Compression } from '../../files/compression/compression.js'
import type { ArchiveContents } from './archive-name.js'

/** An archive of a backup. */
export interface Archive {
  /** What it is called in messages. */
  readonly name: string
  /** `undefined`: it is a stream. */
  readonly path: string | undefined
  readonly contents: ArchiveContents
  /** `undefined`: to be found out by its first bytes. */
  readonly compression: Compression | undefined
  /** Its bytes as they are stored; 0 when that is not known. */
  readonly size: number
}
