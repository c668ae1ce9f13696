import { displayPathname, type Pathname } from '../../../files/pathname.js'
import { ownPathname } from '../../../files/safe-pathname.js'
import {
  findPageFile,
  incrementalPathname,
  wholeFilePathname,
} from '../../../postgres/data-page/page-files.js'
import { incrementalFileBytes } from '../../../postgres/incremental-file.js'
import type {
  IncrementalContentPlan,
  IncrementalPlan,
} from '../../../postgres/wal-summary/incremental-plan.js'
import type { ClusterFile } from '../../cluster-files/cluster-files.js'
import { refused, RefusedError } from '../../commands/refused-error.js'
import type { ListedFile } from '../../commands/replication-command.js'

/**
 * Says of listed files how each is to be sent: whole, or as what has changed, by another name.
 *
 * @param plan - `undefined` in a full backup
 * @throws {@link PbManifestError} `USAGE` when a file has a name that only the changes of another may have
 */
export function planListedFiles(
  listed: readonly ClusterFile[],
  plan: IncrementalPlan | undefined,
): readonly ListedFile[] {
  if (plan === undefined) return listed.map((file) => ({ ...file, wholeSize: undefined }))
  return listed.map((file) => {
    if (file.kind === 'file') requireNoIncremental(file.pathname)
    const planned = file.kind === 'file' ? plan.plan(file.pathname, file.size) : undefined
    if (planned === undefined) return { ...file, wholeSize: undefined }
    return {
      ...file,
      pathname: ownPathname(incrementalPathname(file.pathname)),
      size: incrementalFileBytes(planned.blocks.length),
      wholeSize: file.size,
    }
  })
}

/** What combines the backup would take it for something else. */
function requireNoIncremental(pathname: Pathname): void {
  if (findPageFile(pathname)?.isIncremental !== true) return
  throw refused(
    `"${displayPathname(pathname)}" is in the data directory, but only an incremental backup has such a file`,
    'Remove it: no server has any use for it.',
  )
}

/** The pathname of the whole file, when this is what an incremental backup calls the changes of one. */
export function findWholeFile(pathname: Pathname): Pathname | undefined {
  return findPageFile(pathname)?.isIncremental === true ? wholeFilePathname(pathname) : undefined
}

/**
 * Plans the changes of a file that are asked for.
 *
 * @param pathname - of the whole file
 * @throws {@link PbManifestError} `USAGE` when they would not be enough to have the file from
 */
export function planRequestedChanges(
  plan: IncrementalPlan,
  pathname: Pathname,
  size: number,
): IncrementalContentPlan {
  const planned = plan.planChanges(pathname, size)
  if (planned !== undefined) return planned
  throw new RefusedError(
    'invalid-value',
    `file "${displayPathname(pathname)}" has to be sent whole`,
    'LIST_FILES says how each file is to be sent.',
  )
}
