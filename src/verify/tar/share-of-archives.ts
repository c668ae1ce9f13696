import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import { type Archive, archivePrefixOf, pathnamePrefix } from '../../source/tar/archive.js'
import type { FileTable } from '../file-table/file-table.js'
import type { VerifyContext } from '../verify-context.js'
import type { ArchiveResults } from './archive-results.js'

/** Tells files that would be in these archives from those in others; what has no archive would be in the data directory. */
export function whichAreIn(
  archives: readonly Archive[],
  all: readonly Archive[],
  hasBase: boolean,
): (pathname: Pathname) => boolean {
  const own = prefixesOf(archives)
  const every = prefixesOf(all)
  return (pathname) => {
    const prefix = archivePrefixOf(pathname)
    return every.has(prefix) && prefix !== '' ? own.has(prefix) : hasBase
  }
}

function prefixesOf(archives: readonly Archive[]): ReadonlySet<string> {
  return new Set(archives.map(({ contents }) => pathnamePrefix(contents)))
}

/** Requires that no archive has files of another that is not in this share: then neither alone could be judged. */
export async function requireOwn(
  isOwn: (pathname: Pathname) => boolean,
  { manifest, yielder }: VerifyContext,
  results: ArchiveResults,
): Promise<void> {
  for (const row of results.rows()) {
    if (yielder.isDue) await yielder.yield()
    const pathname = manifest.table.pathname(row)
    if (isOwn(pathname)) continue
    throw new PbManifestError(
      'BAD_FILE',
      `file "${displayPathname(pathname)}" is in another archive than that of its tablespace`,
      { hint: 'Such a backup cannot be verified in shards.' },
    )
  }
}

/** The bytes of the files that these archives should have. */
export function bytesIn(archives: readonly Archive[], table: FileTable): number {
  const own = prefixesOf(archives)
  let bytes = 0
  for (let row = 0; row < table.rows; row++) {
    if (own.has(archivePrefixOf(table.pathname(row)))) bytes += table.size(row)
  }
  return bytes
}
