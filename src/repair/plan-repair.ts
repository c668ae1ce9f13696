import { decodePathname, type Pathname } from '../files/pathname.js'
import { requireSafePathname, type SafePathname } from '../files/safe-pathname.js'
import { badManifestError } from '../manifest/manifest-error.js'
import { CONTROL_FILE } from '../postgres/data-directory.js'
import type { FileTable } from '../verify/file-table/file-table.js'
import type { Problem, ProblemKind } from '../verify/report.js'
import { isLeftover } from './replacement-file.js'

/** A file of the manifest that is not as it should be. */
export interface WantedFile {
  readonly pathname: SafePathname
  /** In the table of the manifest's files. */
  readonly row: number
  readonly problem: ProblemKind
}

/** What is to be done about the problems of a backup. */
export interface RepairPlan {
  /** To be fetched, in the order of the problems; pg_control last, as a server's own backup has it. */
  readonly files: readonly WantedFile[]
  /** To be made. */
  readonly directories: readonly SafePathname[]
  /** Temporary files of a repair that was killed. */
  readonly leftovers: readonly SafePathname[]
  /** Of WAL segments. */
  readonly wal: readonly Problem[]
  /**
   * What no copy can repair: a file is not in the manifest, and is left alone; or it is damaged although it is the very one of the
   * manifest; or the manifest is at fault.
   */
  readonly others: readonly Problem[]
}

/** Those of a file that is not the one of the manifest. */
const repairedByFile: ReadonlySet<ProblemKind> = new Set([
  'missing',
  'size-mismatch',
  'checksum-mismatch',
  'changed-while-read',
  'unreadable',
  'not-a-file',
])

/** Decides what to do about each problem. */
export function planRepair(problems: Iterable<Problem>, table: FileTable): RepairPlan {
  const files = new Map<Pathname, WantedFile>()
  const directories: SafePathname[] = []
  const leftovers: SafePathname[] = []
  const others: Problem[] = []
  const wal: Problem[] = []
  for (const problem of problems) {
    const { kind } = problem
    const pathname = pathnameOf(problem)
    if (kind === 'wal-missing' || kind === 'wal-invalid') wal.push(problem)
    else if (pathname === undefined) others.push(problem)
    else if (kind === 'missing-directory') directories.push(safe(pathname))
    else {
      const row = table.find(pathname)
      // The checksum of every valid pg_control is the same, so a foreign one is found by what it says.
      const isWanted = repairedByFile.has(kind) || (kind === 'control-file' && pathname === CONTROL_FILE)
      if (row !== -1 && isWanted) {
        if (!files.has(pathname)) files.set(pathname, { pathname: safe(pathname), row, problem: kind })
      } else if (kind === 'extra' && isLeftover(pathname)) leftovers.push(safe(pathname))
      else others.push(problem)
    }
  }
  const control = files.get(CONTROL_FILE)
  if (control !== undefined) {
    files.delete(CONTROL_FILE)
    files.set(CONTROL_FILE, control)
  }
  return {
    files: [...files.values()],
    directories,
    leftovers,
    wal,
    others: others.filter((problem) => !files.has(pathnameOf(problem) ?? '')),
  }
}

/** The file that a problem is about. */
function pathnameOf({ path, encodedPath }: Problem): Pathname | undefined {
  return encodedPath === undefined ? path : decodePathname(Buffer.from(encodedPath, 'hex'))
}

function safe(pathname: Pathname): SafePathname {
  return requireSafePathname(pathname, badManifestError)
}
