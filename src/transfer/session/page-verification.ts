import { displayPathname, type Pathname } from '../../files/pathname.js'
import { createPageChecker } from '../../postgres/data-page/page-checker.js'
import { type PageChecker, pageChecksum } from '../../postgres/data-page/page-checksum.js'
import { PAGE_SIZE, readPageHeader, STOCK_SEGMENT_PAGES } from '../../postgres/data-page/page-layout.js'
import type { ClusterFiles } from '../cluster-files/cluster-files.js'
import { isWithoutPages } from '../../postgres/data-directory.js'
import { findPageFile } from '../../postgres/data-page/page-files.js'
import { nearestVersion } from '../../postgres/versions.js'

const BUFFER_BYTES = 512 * 1024

/** What a verification needs of the session and its backup. */
export interface PageVerificationOptions {
  readonly startLsn: bigint
  readonly majorVersion: number
  readonly rereadPage: ClusterFiles['rereadPage']
  readonly hasDataChecksums: ClusterFiles['hasDataChecksums']
  readonly warn: (message: string) => void
  /** Is called for each page whose checksum is wrong for good. */
  readonly onFailure: () => void
}

/**
 * Verifies the pages of files on their way, as a server does that sends them.
 *
 * A page that is written while it is read may come in two halves that do not fit. Where its LSN says that it was changed
 * since the backup began, WAL replay will repair it, and it is not looked at. Else it is read once more, and what came
 * then is what is sent. When checksums are switched off or on meanwhile, which a server may do while it runs, pages may be
 * without, and no more are verified.
 *
 * @see src/backend/backup/basebackup.c (`sendFile`, `verify_page_checksum`)
 */
export class PageVerification {
  readonly #options: PageVerificationOptions
  readonly #checker: PageChecker = createPageChecker(BUFFER_BYTES)
  #warnings: PageWarnings
  #pathname: Pathname = ''
  #segment = 0
  /** The numbers of the pages that come, in the file; `undefined`: all, from the first on. */
  #blocks: Uint32Array | undefined
  /** Where in what comes the buffer begins. */
  #offset = 0
  #used = 0
  /** Whether the rest of the file is not verified. */
  #isGivenUp = false
  /** Whether data checksums were found to be no more on, so that nothing can be said of any page. */
  #areSwitched = false

  constructor(options: PageVerificationOptions) {
    this.#options = options
    this.#warnings = new PageWarnings('', options.warn)
  }

  /**
   * A file begins; says whether it has pages to verify. If not, its bytes are none of this object's business.
   *
   * @param blocks - the numbers, in the file, of the pages that come, when not all do
   */
  begin(pathname: Pathname, blocks?: Uint32Array): boolean {
    const file = findChecksummedFile(pathname, this.#options.majorVersion)
    if (!file.isChecksummed || this.#areSwitched) return false
    this.#warnings = new PageWarnings(pathname, this.#options.warn)
    if (file.segment === undefined) {
      // Servers before 17 let the whole backup fail of a file `12345.old` that somebody left there.
      this.#warnings.invalidSegment()
      return false
    }
    this.#pathname = pathname
    this.#segment = file.segment
    this.#blocks = blocks
    this.#offset = 0
    this.#used = 0
    this.#isGivenUp = false
    return true
  }

  /** Takes as many of the bytes as there is room for, and says how many. */
  fill(bytes: Buffer): number {
    const taken = bytes.copy(this.#checker.buffer, this.#used)
    this.#used += taken
    return taken
  }

  get isFull(): boolean {
    return this.#used === BUFFER_BYTES
  }

  /** Verifies what is in the buffer, and gives it out. It is valid until the next call of `fill`. */
  async drain(): Promise<Buffer> {
    const pages = Math.floor(this.#used / PAGE_SIZE)
    const first = this.#offset / PAGE_SIZE
    for (let page = 0; page < pages && !this.#isGivenUp;) {
      const block = this.#blockAt(first + page)
      const count = this.#countFollowing(first + page, pages - page)
      const blockOfFork = this.#segment * STOCK_SEGMENT_PAGES + block
      const found = this.#checker.findMismatch(page * PAGE_SIZE, count, blockOfFork)
      if (found !== -1) await this.#inspect((page + found) * PAGE_SIZE, block + found)
      page += found === -1 ? count : found + 1
    }
    const verified = this.#checker.buffer.subarray(0, this.#used)
    this.#offset += this.#used
    this.#used = 0
    return verified
  }

  #blockAt(place: number): number {
    return this.#blocks === undefined ? place : (this.#blocks[place] ?? 0)
  }

  /** How many pages from this place on, of so many, are next to each other in the file. */
  #countFollowing(place: number, most: number): number {
    const blocks = this.#blocks
    if (blocks === undefined) return most
    const block = this.#blockAt(place)
    let count = 1
    while (count < most && blocks[place + count] === block + count) count++
    return count
  }

  /** The same at the end of the file. */
  async finish(): Promise<Buffer> {
    const excess = this.#used % PAGE_SIZE
    const rest = await this.drain()
    if (excess !== 0 && !this.#isGivenUp) {
      this.#warnings.partialPage(this.#blockAt(Math.floor(this.#offset / PAGE_SIZE)), excess, PAGE_SIZE)
    }
    this.#warnings.finish()
    return rest
  }

  /** Looks closer at a page of the buffer whose checksum does not fit. */
  async #inspect(start: number, block: number): Promise<void> {
    const { buffer } = this.#checker
    if (readPageHeader(buffer, start).lsn >= this.#options.startLsn) return
    const again = await this.#options.rereadPage(this.#pathname, block * PAGE_SIZE)
    if (again === undefined) {
      // The file was truncated meanwhile, which WAL replay will do as well.
      this.#isGivenUp = true
      return
    }
    again.copy(buffer, start, 0, PAGE_SIZE)
    const blockOfFork = this.#segment * STOCK_SEGMENT_PAGES + block
    const isGood = this.#checker.findMismatch(start, 1, blockOfFork) === -1
    const header = readPageHeader(buffer, start)
    if (isGood || header.lsn >= this.#options.startLsn) return
    this.#areSwitched = !(await this.#options.hasDataChecksums())
    if (this.#areSwitched) {
      this.#isGivenUp = true
      this.#options.warn('data checksums are no longer on: pages are not verified any more')
      return
    }
    this.#options.onFailure()
    this.#warnings.mismatch(block, pageChecksum(buffer, start, blockOfFork), header.checksum)
  }
}

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

/** So many wrong pages of a file are named one by one. */
const MAX_NAMED = 5

/** The warnings about one file's pages, in the server's words. @see src/backend/backup/basebackup.c (`sendFile`) */
class PageWarnings {
  readonly #file: string
  readonly #warn: (message: string) => void
  #failures = 0

  constructor(pathname: Pathname, warn: (message: string) => void) {
    this.#file = displayPathname(pathname)
    this.#warn = warn
  }

  /** @param block - counted from the beginning of the file */
  mismatch(block: number, calculated: number, expected: number): void {
    this.#failures++
    if (this.#failures > MAX_NAMED) return
    this.#warn(
      `checksum verification failed in file "${this.#file}", block ${block}: ` +
        `calculated ${hex(calculated)} but expected ${hex(expected)}`,
    )
    if (this.#failures === MAX_NAMED) {
      this.#warn(`further checksum verification failures in file "${this.#file}" will not be reported`)
    }
  }

  partialPage(block: number, bytes: number, pageSize: number): void {
    this.#warn(
      `could not verify checksum in file "${this.#file}", block ${block}: ` +
        `read buffer size ${bytes} and page size ${pageSize} differ`,
    )
  }

  invalidSegment(): void {
    this.#warn(`could not verify checksum in file "${this.#file}": invalid segment number 0`)
  }

  /** The file has ended. */
  finish(): void {
    if (this.#failures <= 1) return
    this.#warn(`file "${this.#file}" has a total of ${this.#failures} checksum verification failures`)
  }
}

function hex(value: number): string {
  return value.toString(16).toUpperCase()
}
