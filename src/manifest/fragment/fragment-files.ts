import { lstatSync, type Stats, statSync } from 'node:fs'
import type { Yielder } from '../../files/yielder.js'
import { comparePathnames, displayPathname, type Pathname, pathOf } from '../../files/pathname.js'
import { describeSystemError, ioError } from '../../files/system-error.js'
import {
  type ClusterLayout,
  entrySelector,
  isBelowBackupDirectories,
  type ListedEntry,
  type Selection,
} from '../contents/select-entries.js'
import { walkBackup } from '../contents/walk-backup.js'
import { PbManifestError } from '../../errors.js'
import { type EntryKind, kindOf, readDirectory } from '../../files/read-directory.js'
import { unsafePathnameReason } from '../../files/safe-pathname.js'
import { isAboutBackup } from '../contents/made-by-backup.js'

/** The files of a data directory that a server's own backup would list, or all. */
interface FragmentFiles {
  readonly files: readonly PlannedFile[]
  /** Of `files`, those that a server's own backup leaves out. */
  readonly unusual: readonly Pathname[]
  /** The same that are not listed. */
  readonly leftOut: readonly Pathname[]
  /** Links, FIFOs and the like, which no backup takes. */
  readonly specialFiles: readonly Pathname[]
}

/**
 * Walks a data directory and its tablespaces, which must be at rest.
 *
 * @param includesAll - whether to list what a server's own backup leaves out as well
 * @throws {@link PbManifestError} `IO` or `ABORTED`
 */
export async function listBackupFiles(
  directory: string,
  layout: ClusterLayout,
  yielder: Yielder,
  includesAll = false,
): Promise<FragmentFiles> {
  const files: PlannedFile[] = []
  const passed = await visitBackupFiles(directory, layout, (file) => files.push(file), yielder, includesAll)
  return { files, ...passed }
}

/**
 * The same, one by one.
 *
 * @param onFile - is given those that are listed
 * @throws {@link PbManifestError} `IO` or `ABORTED`
 */
export async function visitBackupFiles(
  directory: string,
  layout: ClusterLayout,
  onFile: (file: PlannedFile) => void,
  yielder: Yielder,
  includesAll = false,
): Promise<Omit<FragmentFiles, 'files'>> {
  const leftOut: Pathname[] = []
  const specialFiles: Pathname[] = []
  const unusual: Pathname[] = []
  for (const { pathname, kind } of walkBackup({ directory, layout, filesOf: 'copy' })) {
    const isListed = kind === 'file' || (kind === 'left-out' && includesAll)
    if (isListed) onFile({ pathname, size: sizeOf(directory, pathname) })
    if (isListed && kind === 'left-out') unusual.push(pathname)
    if (kind === 'special') specialFiles.push(pathname)
    else if (kind === 'left-out' && !isListed) leftOut.push(pathname)
    if (yielder.isDue) await yielder.yield()
  }
  return { unusual, specialFiles, leftOut }
}

function sizeOf(directory: string, pathname: Pathname): number {
  try {
    return statSync(pathOf(directory, pathname)).size
  } catch (error) {
    throw ioError(`could not stat file "${displayPathname(pathname)}"`, error)
  }
}

/**
 * The files that the caller named, less those that a server's own backup would leave out.
 *
 * @param includesAll - whether to take those as well; what is in `pg_wal` never is
 * @throws {@link PbManifestError} `IO` that names every file that cannot be recorded; `ABORTED`
 */
export async function namedBackupFiles(
  directory: string,
  pathnames: readonly Pathname[],
  layout: ClusterLayout,
  yielder: Yielder,
  includesAll = false,
): Promise<Pick<FragmentFiles, 'files' | 'leftOut'>> {
  const files: PlannedFile[] = []
  const leftOut: Pathname[] = []
  const failures: string[] = []
  const rules = new NamedFileRules(directory, layout, includesAll)
  for (const pathname of new Set(pathnames)) {
    const found = inspect(directory, pathname, rules)
    if (typeof found === 'string') failures.push(`"${displayPathname(pathname)}": ${found}`)
    else if (found === undefined) leftOut.push(pathname)
    else files.push(found)
    if (yielder.isDue) await yielder.yield()
  }
  if (failures.length > 0) {
    throw new PbManifestError('IO', `could not record ${failures.length} of the named files`, {
      details: failures,
    })
  }
  return { files, leftOut }
}

/** The file, why it cannot be recorded, or nothing when a backup leaves it out. */
function inspect(
  directory: string,
  pathname: Pathname,
  rules: NamedFileRules,
): PlannedFile | string | undefined {
  const reason = unsafePathnameReason(pathname)
  if (reason !== undefined) return reason
  let stats: Stats
  try {
    stats = lstatSync(pathOf(directory, pathname))
    if (!rules.isInBackup(pathname, kindOf(stats))) return undefined
  } catch (error) {
    const description = describeSystemError(error)
    if (description === undefined) throw error
    return description.message
  }
  return stats.isFile() ? { pathname, size: stats.size } : 'it is not a regular file'
}

/** The rules for whole directories, asked for one pathname at a time. */
class NamedFileRules {
  readonly #directory: string
  readonly #layout: ClusterLayout
  readonly #includesAll: boolean
  readonly #selectors = new Map<Pathname, (entry: ListedEntry) => Selection>()

  constructor(directory: string, layout: ClusterLayout, includesAll: boolean) {
    this.#directory = directory
    this.#layout = layout
    this.#includesAll = includesAll
  }

  isInBackup(pathname: Pathname, kind: EntryKind): boolean {
    if (this.#includesAll) return !pathname.startsWith('pg_wal/') && !isAboutBackup(pathname)
    if (!isBelowBackupDirectories(pathname, this.#layout, 'copy')) return false
    const slash = pathname.lastIndexOf('/')
    const select = this.#selectorIn(pathname.slice(0, Math.max(slash, 0)))
    return select({ name: pathname.slice(slash + 1), kind }) !== 'left out'
  }

  #selectorIn(parent: Pathname): (entry: ListedEntry) => Selection {
    const known = this.#selectors.get(parent)
    if (known !== undefined) return known
    const entries = readDirectory(parent === '' ? this.#directory : pathOf(this.#directory, parent))
    const names = entries.map((entry) => entry.name)
    const selector = entrySelector(parent, names, this.#layout, 'copy')
    this.#selectors.set(parent, selector)
    return selector
  }
}

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
