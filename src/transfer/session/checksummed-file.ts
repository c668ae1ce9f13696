import { isWithoutPages } from '../../postgres/data-directory.js'
import { findPageFile } from '../../postgres/data-page/page-files.js'
import { nearestVersion } from '../../postgres/versions.js'

/** Whether the pages of a file have checksums that a server checks while it sends the file. */
export type ChecksummedFile =
  | { readonly isChecksummed: false }
  /** `segment`: which of its fork's files it is; `undefined` when its name has none that makes sense. */
  | { readonly isChecksummed: true; readonly segment: number | undefined }

/**
 * Tells it by the rules of a server of this version. For newer ones only the files of relations have pages; for
 * others, all files do that are where relations are kept, but for a few.
 *
 * @see src/backend/backup/basebackup.c (`sendDir` from 17 on; `is_checksummed_file` and `sendFile` before)
 */
export function findChecksummedFile(pathname: string, majorVersion: number): ChecksummedFile {
  if (nearestVersion(majorVersion).knowsPagesByRelationName) {
    const file = findPageFile(pathname)
    return file === undefined || file.isIncremental
      ? { isChecksummed: false }
      : { isChecksummed: true, segment: file.segment }
  }
  const name = pathname.slice(pathname.lastIndexOf('/') + 1)
  const isAmongRelations = /^(?:base|global|pg_tblspc\/[0-9]+)\//.test(pathname)
  if (!isAmongRelations || isWithoutPages(name)) {
    return { isChecksummed: false }
  }
  return { isChecksummed: true, segment: segmentOfName(name) }
}

/** What C's `atoi` makes of what stands behind the first dot. */
function segmentOfName(name: string): number | undefined {
  const dot = name.indexOf('.')
  if (dot === -1) return 0
  const segment = Number.parseInt(/^[0-9]{1,6}/.exec(name.slice(dot + 1))?.[0] ?? '0', 10)
  return segment === 0 ? undefined : segment
}
