import { walPageMagics } from '../wal-page-magics.js'

/** What differs between the versions of the WAL. */
export interface WalFormat {
  readonly major: number
  readonly pageMagic: number
  /** Extensions may have resource managers of their own, with numbers from 128. */
  readonly hasCustomResourceManagers: boolean
  /** A record may name its top-level transaction. */
  readonly hasToplevelXid: boolean
  /** The bits of bimg_info that say that a page's image is compressed. */
  readonly compressedImageBits: number
}

/**
 * Gives the format of the WAL of a PostgreSQL major version.
 *
 * @returns `undefined` for a version whose format we do not know.
 * @see src/include/access/xlogrecord.h, src/include/access/rmgr.h of each version
 */
export function walFormatOf(major: number): WalFormat | undefined {
  const pageMagic = walPageMagics.get(major)
  if (pageMagic === undefined) return undefined
  return {
    major,
    pageMagic,
    hasCustomResourceManagers: major >= 15,
    hasToplevelXid: major >= 14,
    // One bit until 14; since 15 one for each of pglz, lz4 and zstd, and "apply" has taken the place of the old one.
    compressedImageBits: major >= 15 ? 0x1c : 0x02,
  }
}
