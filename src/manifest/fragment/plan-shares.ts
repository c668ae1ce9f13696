import { comparePathnames, type Pathname } from '../../files/pathname.js'

/** A file that is to be recorded. */
export interface PlannedFile {
  readonly pathname: Pathname
  /** In bytes, as the directory said when the plan was made. */
  readonly size: number
}

/**
 * Divides files among workers so that each has about as many bytes, and every file is in exactly one share.
 *
 * Only the pathnames and sizes count, not their order: workers that see the same directory compute the same shares
 * without talking to each other. The largest file first, each to the share that is smallest so far.
 *
 * @returns one share for each worker, in the order of the pathnames
 */
export function planShares(files: readonly PlannedFile[], workers: number): PlannedFile[][] {
  const shares = Array.from({ length: workers }, () => ({ files: [] as PlannedFile[], load: 0 }))
  for (const file of files.toSorted(byDescendingSize)) {
    const share = shares.reduce((least, other) => (other.load < least.load ? other : least))
    share.files.push(file)
    // A file costs something even when it is empty; so empty ones do not all go to one worker.
    share.load += file.size + 1
  }
  return shares.map((share) =>
    share.files.toSorted((left, right) => comparePathnames(left.pathname, right.pathname)),
  )
}

function byDescendingSize(left: PlannedFile, right: PlannedFile): number {
  return right.size - left.size || comparePathnames(left.pathname, right.pathname)
}
