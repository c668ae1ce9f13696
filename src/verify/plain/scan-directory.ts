import type { Yielder } from '../../files/yielder.js'
import type { Pathname } from '../../files/pathname.js'
import type { DirectoryEntry } from '../../files/read-directory.js'
import { describeSystemError, ioError } from '../../files/system-error.js'
import type { FileTable } from '../file-table/file-table.js'
import { type FileStates, fileStates } from './checksum-messages.js'
import type { IgnoreRules } from '../ignore-rules.js'
import { fileProblem, type ProblemList } from '../problems.js'
import type { Problem } from '../report.js'
import type { ProblemPlace, VerificationShare } from '../share.js'
import * as scanned from './scanned-directory.js'
import type { EntryStats, ScannedDirectory, ScannedTree } from './scanned-directory.js'
import { ShareOfScan } from './share-of-scan.js'

/** What a scan compares a directory with, and where it tells what it finds. */
export interface ScanContext {
  readonly directory: string
  /** Default: the directory. */
  readonly tree?: ScannedTree
  readonly table: FileTable
  readonly ignore: IgnoreRules
  readonly problems: ProblemList
  readonly yielder: Yielder
  /** Where the state of each row goes, which others may watch; of nothing met yet. */
  readonly states?: FileStates | undefined
  /** Whether threads read the file of this row, and so see what size it has. */
  readonly isRead?: ((row: number) => boolean) | undefined
  /** `undefined`: all is looked at. */
  readonly share?: VerificationShare | undefined
}

/** What a scan has found. */
export interface ScanResult {
  /** The state of each row; `regular` becomes `intact` when a thread has seen its size. */
  readonly states: FileStates
  /**
   * Looks at the files whose size nobody has seen by now, and reports what is wrong with them. To be called before any
   * problem is reported that is not the scan's, so that the order of a report does not depend on who was faster.
   */
  readonly settle: () => Promise<void>
}

/**
 * Compares presence, kind and size of everything in the directory with the manifest; links are followed.
 *
 * A file that threads read anyway is not looked at: its directory entry says that it is a regular file, and they see its
 * size. Only when there is a problem to report, those of the files before it that are not read yet are looked at.
 *
 * @throws {@link PbManifestError} `IO` when the directory itself cannot be read; `ABORTED`
 * @see src/bin/pg_verifybackup/pg_verifybackup.c, verify_backup_directory, report_extra_backup_files
 */
export async function scanDirectory(context: ScanContext): Promise<ScanResult> {
  const scan = new DirectoryScan(context)
  await scan.walk()
  await scan.reportMissing()
  return { states: scan.states, settle: () => scan.settle() }
}

class DirectoryScan {
  readonly states: FileStates
  readonly #context: ScanContext
  readonly #tree: ScannedTree
  readonly #share: ShareOfScan | undefined
  readonly #unreadable = new scanned.UnreadableDirectories()
  /** The rows whose state was left at `regular`, in the order of the walk. */
  readonly #unseen: Uint32Array
  #unseenEnd = 0
  #settled = 0
  /** Problems that are to be reported when the files before them are settled. */
  #found: { readonly problem: Problem; readonly place: ProblemPlace | undefined }[] = []

  constructor(context: ScanContext) {
    this.#context = context
    this.#tree = context.tree ?? scanned.directoryTree(context.directory)
    this.#share = context.share && new ShareOfScan(context.share, context.table)
    this.states = context.states ?? new Uint8Array(context.table.rows)
    this.#unseen = new Uint32Array(context.table.rows)
  }

  async walk(): Promise<void> {
    const { directory, yielder } = this.#context
    const pending: ScannedDirectory[] = [
      { pathname: '', identities: new Set([scanned.identityOfTop(this.#tree, directory)]) },
    ]
    for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
      const children: ScannedDirectory[] = []
      let left = 0
      const entries = this.#list(parent.pathname)
      const mayBeIgnored = this.#context.ignore.mayMatchIn(parent.pathname)
      if (this.#found.length > 0) await this.#report()
      for (const entry of entries) {
        if (!mayBeIgnored && this.#isLeftToThreads(parent, entry)) {
          // To look at the clock takes as long as the entry.
          if ((++left & 0xff) === 0 && yielder.isDue) await yielder.yield()
          continue
        }
        const child = this.#visit(parent, entry)
        if (child !== undefined) children.push(child)
        if (this.#found.length > 0) await this.#report()
        if (yielder.isDue) await yielder.yield()
      }
      // The last one pushed is taken first: keep the order of the names.
      pending.push(...children.toReversed())
    }
  }

  /** See {@link ScanResult}. */
  async settle(): Promise<void> {
    const { table, yielder } = this.#context
    while (this.#settled < this.#unseenEnd) {
      const row = this.#unseen[this.#settled++] as number
      if (this.states[row] !== fileStates.regular) continue
      this.#settleRow(row, table.pathname(row))
      if (yielder.isDue) await yielder.yield()
    }
  }

  #settleRow(row: number, pathname: Pathname): void {
    // As long as it is not known to be there.
    this.states[row] = 0
    const stats = this.#look(pathname)
    if (stats?.isFile() === true) this.#compare(pathname, row, stats.size)
    else if (stats !== undefined) this.#specialFile(pathname)
    this.#tellFound()
  }

  /** Reports what was found, after all that the walk has met before. */
  async #report(): Promise<void> {
    const found = this.#found
    this.#found = []
    await this.settle()
    this.#found = found
    this.#tellFound()
  }

  #tellFound(): void {
    if (this.#found.length === 0) return
    for (const { problem, place } of this.#found.splice(0)) this.#context.problems.add(problem, place)
  }

  /** Reports what the manifest has and the walk did not meet, in the manifest's order. */
  async reportMissing(): Promise<void> {
    const { table, ignore, yielder } = this.#context
    const states = this.states.subarray(0, table.rows)
    for (let row = states.indexOf(0); row !== -1; row = states.indexOf(0, row + 1)) {
      if (this.#share?.ownsRow(row) === false) {
        if (yielder.isDue) await yielder.yield()
        continue
      }
      const pathname = table.pathname(row)
      if (!this.#unreadable.covers(pathname) && !ignore.covers(pathname)) {
        const problem = fileProblem(
          'missing',
          pathname,
          (name) => `"${name}" is present in the manifest but not on disk`,
          { size: { expected: table.size(row) } },
        )
        this.#found.push({ problem, place: { phase: 'missing', key: [row] } })
        await this.#report()
      }
      if (yielder.isDue) await yielder.yield()
    }
  }

  /** Looks at one entry; returns it when it is a directory to walk. */
  #visit(parent: ScannedDirectory, { name, kind }: DirectoryEntry): ScannedDirectory | undefined {
    const { ignore, table } = this.#context
    const pathname = parent.pathname === '' ? name : `${parent.pathname}/${name}`
    if (ignore.matches(pathname)) return undefined
    if (kind === 'file' && this.#leaveToThreads(table.find(pathname))) return undefined
    if (this.#share?.isLookedAt(pathname, kind) === false) return undefined
    const stats = this.#look(pathname)
    if (stats === undefined) return undefined
    if (stats.isDirectory()) {
      const entered = this.#enter(parent, pathname)
      return this.#share?.entersDirectory(pathname) === false ? undefined : entered
    }
    if (stats.isFile()) this.#compare(pathname, table.find(pathname), stats.size)
    else this.#specialFile(pathname)
    return undefined
  }

  /** The same for an entry of which no rule says that it is ignored: nearly all are such, so its pathname is not made. */
  #isLeftToThreads({ pathname }: ScannedDirectory, { name, kind }: DirectoryEntry): boolean {
    return kind === 'file' && this.#leaveToThreads(this.#context.table.findBelow(pathname, name))
  }

  /** Notes a problem with an entry, or, `isEntered`, with what is in it; if it is this share's to report. */
  #note(pathname: Pathname, problem: Problem, isEntered = false): void {
    const share = this.#share
    if (share === undefined) this.#found.push({ problem, place: undefined })
    else if (share.owns(pathname, isEntered)) {
      this.#found.push({ problem, place: share.placeOf(pathname, isEntered) })
    }
  }

  /** Leaves it to the threads that read a file to see what size it has, if they do. */
  #leaveToThreads(row: number): boolean {
    if (row === -1 || this.#share?.ownsRow(row) === false) return false
    if (this.#context.isRead?.(row) !== true) return false
    this.states[row] = fileStates.regular
    this.#unseen[this.#unseenEnd++] = row
    return true
  }

  #look(pathname: Pathname): EntryStats | undefined {
    try {
      return this.#tree.look(pathname)
    } catch (error) {
      return this.#unreadableEntry(pathname, 'could not stat file or directory', error)
    }
  }

  #enter(parent: ScannedDirectory, pathname: Pathname): ScannedDirectory | undefined {
    let identity: string
    try {
      identity = this.#tree.identity(pathname)
    } catch (error) {
      return this.#unreadableEntry(pathname, 'could not stat file or directory', error)
    }
    if (parent.identities.has(identity)) {
      this.#unreadable.add(pathname)
      this.#note(
        pathname,
        fileProblem(
          'unreadable',
          pathname,
          (name) => `could not stat file or directory "${name}": Too many levels of symbolic links`,
          { errorCode: 'ELOOP' },
          'it is a link to a directory above it',
        ),
      )
      return undefined
    }
    return { pathname, identities: new Set([...parent.identities, identity]) }
  }

  #compare(pathname: Pathname, row: number, size: number): void {
    if (row === -1) {
      if (this.#context.ignore.isAdded(pathname)) return
      this.#note(
        pathname,
        fileProblem('extra', pathname, (name) => `"${name}" is present on disk but not in the manifest`, {
          size: { found: size },
        }),
      )
      return
    }
    if (this.#share?.ownsRow(row) === false) return
    const expected = this.#context.table.size(row)
    this.states[row] = expected === size ? fileStates.intact : fileStates.faulty
    if (expected === size) return
    this.#note(
      pathname,
      fileProblem(
        'size-mismatch',
        pathname,
        (name) => `"${name}" has size ${size} on disk but size ${expected} in the manifest`,
        { size: { expected, found: size } },
      ),
    )
  }

  #specialFile(pathname: Pathname): void {
    // The peer calls it missing as well, when the manifest has it: two messages for one cause.
    const row = this.#context.table.find(pathname)
    if (row !== -1) this.states[row] = fileStates.faulty
    this.#note(
      pathname,
      fileProblem('not-a-file', pathname, (name) => `"${name}" is not a regular file or directory`),
    )
  }

  #list(pathname: Pathname): DirectoryEntry[] {
    const { directory } = this.#context
    try {
      return this.#tree.list(pathname)
    } catch (error) {
      if (pathname === '') throw ioError(`could not open directory "${directory}"`, error)
      this.#unreadableEntry(pathname, 'could not open directory', error, true)
      return []
    }
  }

  #unreadableEntry(pathname: Pathname, attempt: string, error: unknown, isEntered = false): undefined {
    const description = describeSystemError(error)
    if (description === undefined) throw error
    this.#unreadable.add(pathname)
    const problem = fileProblem(
      'unreadable',
      pathname,
      (name) => `${attempt} "${name}": ${description.message}`,
      { errorCode: description.code },
    )
    this.#note(pathname, problem, isEntered)
    return undefined
  }
}
