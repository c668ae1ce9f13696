import { closeSync, readSync } from 'node:fs'
import { PbManifestError } from '../errors.js'
import { NotARegularFileError, openError, openRegularFile } from '../files/open-regular-file.js'
import { displayPathname, encodePathname, type Pathname, pathOf } from '../files/pathname.js'
import { readFully } from '../files/read-fully.js'
import { ioError, isNotThere } from '../files/system-error.js'
import { createFileHasher } from '../manifest/checksum/create-file-hasher.js'
import type { FileHasher } from '../manifest/checksum/file-hasher.js'
import type { RealChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import type { FileRows } from '../verify/file-table/file-rows.js'
import type { FileFinder } from '../verify/file-table/pathname-index.js'
import { filesWrittenLater } from '../verify/ignore-rules.js'
import { checksumFacts, fileProblem } from '../verify/problems.js'
import type { Problem } from '../verify/report.js'

/** One of the backups, as a thread sees it. */
export interface InputBackup {
  readonly directory: string
  /** The files of its manifest; `undefined`: it has none. */
  readonly files: FileFinder | undefined
  /** Whether its files are compared with the manifest. */
  readonly isCompared: boolean
}

/** Thrown out of the middle of a file of which something is wrong with an input. */
export class InputFault extends Error {
  readonly backup: number
  readonly problem: Problem

  constructor(backup: number, problem: Problem) {
    super(problem.message)
    this.backup = backup
    this.problem = problem
  }
}

/** Hashers, several of one algorithm at the same time. */
export class HasherPool {
  readonly #free = new Map<RealChecksumAlgorithm, FileHasher[]>()
  readonly #work: 'much' | 'unknown'

  /** @param work - as for {@link createFileHasher} */
  constructor(work: 'much' | 'unknown') {
    this.#work = work
  }

  async take(algorithm: RealChecksumAlgorithm): Promise<FileHasher> {
    const hasher = this.#free.get(algorithm)?.pop() ?? (await createFileHasher(algorithm, this.#work))
    hasher.reset()
    return hasher
  }

  give(algorithm: RealChecksumAlgorithm, hasher: FileHasher): void {
    const free = this.#free.get(algorithm)
    if (free === undefined) this.#free.set(algorithm, [hasher])
    else free.push(hasher)
  }
}

/** Is told of bytes that were read. */
export type OnBytes = (bytes: number) => void

interface Listing {
  readonly files: FileFinder
  readonly row: number
  readonly algorithm: RealChecksumAlgorithm | undefined
  readonly hasher: FileHasher | undefined
  readonly isCompared: boolean
}

/**
 * A file of an input, read from its start on, and compared meanwhile with the manifest of its backup.
 */
export class InputFile {
  /** Which backup it is of. */
  readonly backup: number
  readonly pathname: Pathname
  readonly size: number
  readonly path: string | Buffer
  readonly #shown: string
  readonly #descriptor: number
  readonly #listing: Listing | undefined
  readonly #onBytes: OnBytes
  /** Up to where it was read without a gap. */
  #position = 0

  private constructor(
    place: {
      readonly backup: number
      readonly pathname: Pathname
      readonly path: string | Buffer
      readonly shown: string
    },
    opened: { readonly descriptor: number; readonly size: number },
    listing: Listing | undefined,
    onBytes: OnBytes,
  ) {
    this.backup = place.backup
    this.pathname = place.pathname
    this.path = place.path
    this.#shown = place.shown
    this.#descriptor = opened.descriptor
    this.size = opened.size
    this.#listing = listing
    this.#onBytes = onBytes
  }

  /**
   * @returns `undefined` when there is no such file
   * @throws {@link InputFault} or {@link PbManifestError} `IO`
   */
  static async open(
    backups: readonly InputBackup[],
    backup: number,
    pathname: Pathname,
    hashers: HasherPool,
    onBytes: OnBytes,
  ): Promise<InputFile | undefined> {
    const input = backups[backup] as InputBackup
    const { directory } = input
    const path = pathOf(directory, pathname)
    const shown = displayPathname(`${directory}/${pathname}`)
    let opened: { readonly descriptor: number; readonly size: number }
    try {
      const { descriptor, stats } = openRegularFile(path)
      opened = { descriptor, size: stats.size }
    } catch (error) {
      if (isNotThere(error)) return undefined
      if (error instanceof NotARegularFileError) {
        throw new InputFault(
          backup,
          fileProblem('not-a-file', pathname, (name) => `"${name}" is not a regular file or directory`),
        )
      }
      throw openError(shown, error)
    }
    try {
      const listing = await listedAs(input, backup, pathname, opened.size, hashers)
      return new InputFile({ backup, pathname, path, shown }, opened, listing, onBytes)
    } catch (error) {
      closeSync(opened.descriptor)
      throw error
    }
  }

  /** Whether the manifest lists it. */
  get isListed(): boolean {
    return this.#listing !== undefined
  }

  /** Whether no manifest has to list it. */
  get mayBeUnlisted(): boolean {
    return mayChangeLater(this.pathname)
  }

  /** Whether all of it has to be read, for its checksum. */
  get isCompared(): boolean {
    return this.#listing?.hasher !== undefined
  }

  /** The checksum in the manifest, when it is of this algorithm. */
  knownChecksum(algorithm: RealChecksumAlgorithm): string | undefined {
    const { files, row, algorithm: listed } = this.#listing ?? {}
    return files !== undefined && row !== undefined && listed === algorithm ? files.checksum(row) : undefined
  }

  /**
   * Reads as many bytes as fit, from this position; fewer only at the end of the file. Where it is compared, it has to be read from its
   * start, without gaps.
   *
   * @throws {@link PbManifestError} `IO`
   */
  read(buffer: Buffer, position: number): number {
    let bytes: number
    try {
      bytes = readFully(this.#descriptor, buffer, position, readSync)
    } catch (error) {
      throw ioError(`could not read file "${this.#shown}"`, error)
    }
    if (bytes === 0) return 0
    if (position === this.#position) {
      this.#listing?.hasher?.update(bytes === buffer.length ? buffer : buffer.subarray(0, bytes))
      this.#position += bytes
    } else if (this.isCompared) throw new Error('a file that is compared is read with a gap')
    this.#onBytes(bytes)
    return bytes
  }

  /** The same of bytes that have to be there. */
  readExactly(buffer: Buffer, position: number): void {
    const bytes = this.read(buffer, position)
    if (bytes === buffer.length) return
    throw new PbManifestError(
      'IO',
      `could not read file "${this.#shown}", offset ${position}: read ${bytes} of ${buffer.length}`,
    )
  }

  /**
   * Reads the rest, where the file is compared, and compares.
   *
   * @param buffer - to read to
   * @param onChunk - is called between reads
   * @throws {@link InputFault}
   */
  finish(buffer: Buffer, onChunk: () => void): void {
    const { files, row, hasher } = this.#listing ?? {}
    if (files === undefined || row === undefined || hasher === undefined) return
    while (this.read(buffer, this.#position) > 0) onChunk()
    const size = files.size(row)
    if (this.#position !== size) throw this.#fault(sizeProblem(this.pathname, size, this.#position))
    const found = files.findOtherChecksum(row, hasher)
    if (found === undefined) return
    throw this.#fault(checksumProblem(files, row, this.pathname, found))
  }

  /** The file does not have its layout. */
  layoutFault(fault: string): InputFault {
    return this.#fault(fileProblem('incremental-file', this.pathname, (name) => `file "${name}" ${fault}`))
  }

  #fault(problem: Problem): InputFault {
    return new InputFault(this.backup, problem)
  }

  close(hashers: HasherPool): void {
    closeSync(this.#descriptor)
    const { algorithm, hasher } = this.#listing ?? {}
    if (algorithm !== undefined && hasher !== undefined) hashers.give(algorithm, hasher)
  }
}

/** What the manifest says of the file; `undefined` when nothing. */
async function listedAs(
  { files, isCompared }: InputBackup,
  backup: number,
  pathname: Pathname,
  size: number,
  hashers: HasherPool,
): Promise<Listing | undefined> {
  // What may have changed since the manifest was written has a checksum of its own in the new one.
  if (files === undefined || mayChangeLater(pathname)) return undefined
  const row = files.find(encodePathname(pathname))
  if (row === -1) return undefined
  const algorithm = files.algorithm(row)
  if (!isCompared) return { files, row, algorithm, hasher: undefined, isCompared }
  if (files.size(row) !== size) throw new InputFault(backup, sizeProblem(pathname, files.size(row), size))
  const hasher = algorithm === undefined ? undefined : await hashers.take(algorithm)
  return { files, row, algorithm, hasher, isCompared }
}

/** What verification never compares, and the checks before have looked at in their own way. */
function mayChangeLater(pathname: Pathname): boolean {
  return pathname.startsWith('pg_wal/') || filesWrittenLater.some((name) => name === pathname)
}

function sizeProblem(pathname: Pathname, expected: number, found: number): Problem {
  return fileProblem(
    'size-mismatch',
    pathname,
    (name) => `"${name}" has size ${found} on disk but size ${expected} in the manifest`,
    { size: { expected, found } },
  )
}

/** The problem of a file that has another checksum than the manifest says. */
export function checksumProblem(files: FileRows, row: number, pathname: Pathname, found: string): Problem {
  return fileProblem(
    'checksum-mismatch',
    pathname,
    (name) => `checksum mismatch for file "${name}"`,
    checksumFacts(files, row, found),
  )
}
