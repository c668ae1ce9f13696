import { type BigIntStats, type Stats, statSync } from 'node:fs'
import type { WayGiver } from '../files/give-way.js'
import { pathOf } from '../files/path-of.js'
import type { Pathname } from '../files/pathname.js'
import { readNames } from '../files/read-directory.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import type { FileTable } from './file-table/file-table.js'
import { type FileStates, fileStates } from './file-states.js'
import type { IgnoreRules } from './ignore-rules.js'
import { fileProblem, type ProblemList } from './problems.js'

/** What a scan compares a directory with, and where it tells what it finds. */
export interface ScanContext {
  readonly directory: string
  readonly table: FileTable
  readonly ignore: IgnoreRules
  readonly problems: ProblemList
  readonly way: WayGiver
  /** Where the state of each row goes, which others may watch; of nothing met yet. */
  readonly states?: FileStates | undefined
}

/**
 * Compares presence, kind and size of everything in the directory with the manifest; links are followed.
 *
 * @returns the state of each row of the table
 * @throws {@link PbManifestError} `IO` when the directory itself cannot be read; `ABORTED`
 * @see src/bin/pg_verifybackup/pg_verifybackup.c, verify_backup_directory, report_extra_backup_files
 */
export async function scanDirectory(context: ScanContext): Promise<FileStates> {
  const scan = new DirectoryScan(context)
  await scan.walk()
  await scan.reportMissing()
  return scan.states
}

/** A directory on the way down, by its identity and by its name. */
interface Parent {
  readonly pathname: Pathname
  /** `device:inode` of it and of all directories above it, to notice a link that leads back up. */
  readonly identities: ReadonlySet<string>
}

class DirectoryScan {
  readonly states: FileStates
  readonly #context: ScanContext
  /** Directories that could not be looked into: what should be in them is not called missing. */
  readonly #unreadable = new Set<Pathname>()

  constructor(context: ScanContext) {
    this.#context = context
    this.states = context.states ?? new Uint8Array(context.table.rows)
  }

  async walk(): Promise<void> {
    const { directory, way } = this.#context
    const pending: Parent[] = [{ pathname: '', identities: new Set([identityOfTop(directory)]) }]
    for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
      const children: Parent[] = []
      for (const name of this.#list(parent.pathname)) {
        const child = this.#visit(parent, name)
        if (child !== undefined) children.push(child)
        if (way.isDue) await way.giveWay()
      }
      // The last one pushed is taken first: keep the order of the names.
      pending.push(...children.toReversed())
    }
  }

  /** Reports what the manifest has and the walk did not meet, in the manifest's order. */
  async reportMissing(): Promise<void> {
    const { table, ignore, problems, way } = this.#context
    for (let row = 0; row < table.rows; row++) {
      if (this.states[row] === 0) {
        const pathname = table.pathname(row)
        if (!this.#isBelowUnreadable(pathname) && !ignore.covers(pathname)) {
          problems.add(
            fileProblem(
              'missing',
              pathname,
              (name) => `"${name}" is present in the manifest but not on disk`,
            ),
          )
        }
      }
      if (way.isDue) await way.giveWay()
    }
  }

  /** Looks at one entry; returns it when it is a directory to walk. */
  #visit(parent: Parent, name: Pathname): Parent | undefined {
    const { directory, ignore } = this.#context
    const pathname = parent.pathname === '' ? name : `${parent.pathname}/${name}`
    if (ignore.matches(pathname)) return undefined
    let stats: Stats
    try {
      stats = statSync(pathOf(directory, pathname))
    } catch (error) {
      return this.#unreadableEntry(pathname, 'could not stat file or directory', error)
    }
    if (stats.isDirectory()) return this.#enter(parent, pathname)
    if (stats.isFile()) this.#compare(pathname, stats.size)
    else this.#specialFile(pathname)
    return undefined
  }

  #enter(parent: Parent, pathname: Pathname): Parent | undefined {
    let identity: string
    try {
      identity = identityOf(pathOf(this.#context.directory, pathname))
    } catch (error) {
      return this.#unreadableEntry(pathname, 'could not stat file or directory', error)
    }
    if (parent.identities.has(identity)) {
      this.#unreadable.add(pathname)
      this.#context.problems.add(
        fileProblem(
          'unreadable',
          pathname,
          (name) => `could not stat file or directory "${name}": Too many levels of symbolic links`,
          'it is a link to a directory above it',
        ),
      )
      return undefined
    }
    return { pathname, identities: new Set([...parent.identities, identity]) }
  }

  #compare(pathname: Pathname, size: number): void {
    const { table, problems } = this.#context
    const row = table.find(pathname)
    if (row === -1) {
      problems.add(
        fileProblem('extra', pathname, (name) => `"${name}" is present on disk but not in the manifest`),
      )
      return
    }
    const expected = table.size(row)
    this.states[row] = expected === size ? fileStates.intact : fileStates.faulty
    if (expected === size) return
    problems.add(
      fileProblem(
        'size-mismatch',
        pathname,
        (name) => `"${name}" has size ${size} on disk but size ${expected} in the manifest`,
      ),
    )
  }

  #specialFile(pathname: Pathname): void {
    // The peer calls it missing as well, when the manifest has it: two messages for one cause.
    const row = this.#context.table.find(pathname)
    if (row !== -1) this.states[row] = fileStates.faulty
    this.#context.problems.add(
      fileProblem('not-a-file', pathname, (name) => `"${name}" is not a regular file or directory`),
    )
  }

  #list(pathname: Pathname): Pathname[] {
    const { directory } = this.#context
    try {
      return readNames(pathname === '' ? directory : pathOf(directory, pathname))
    } catch (error) {
      if (pathname === '') throw ioError(`could not open directory "${directory}"`, error)
      this.#unreadableEntry(pathname, 'could not open directory', error)
      return []
    }
  }

  #unreadableEntry(pathname: Pathname, attempt: string, error: unknown): undefined {
    const description = describeSystemError(error)
    if (description === undefined) throw error
    this.#unreadable.add(pathname)
    this.#context.problems.add(
      fileProblem('unreadable', pathname, (name) => `${attempt} "${name}": ${description.message}`),
    )
    return undefined
  }

  #isBelowUnreadable(pathname: Pathname): boolean {
    if (this.#unreadable.size === 0) return false
    for (let slash = pathname.indexOf('/'); slash !== -1; slash = pathname.indexOf('/', slash + 1)) {
      if (this.#unreadable.has(pathname.slice(0, slash))) return true
    }
    return this.#unreadable.has(pathname)
  }
}

function identityOfTop(directory: string): string {
  try {
    return identityOf(directory)
  } catch (error) {
    throw ioError(`could not open directory "${directory}"`, error)
  }
}

/** Exact: two inode numbers above 2^53 may be the same as a JavaScript number. */
function identityOf(path: string | Buffer): string {
  const stats: BigIntStats = statSync(path, { bigint: true })
  return `${stats.dev}:${stats.ino}`
}
