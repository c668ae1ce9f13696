import type { RealChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { createFileHasher, type FileHasher } from '../manifest/checksum/file-hasher.js'
import { checkFile } from './check-file.js'
import type { FileFinding, StartChecking, WorkerMessage } from './checksum-messages.js'
import { ContentCheck } from './content/content-check.js'
import { ReplayedWal } from './content/replayed-wal.js'
import { FileRows } from './file-table/file-rows.js'
import { outcomeCodes, WorkQueue } from './work-queue.js'

/** Large enough that calls cost little, small enough to stay in the processor's cache; whole pages. */
const BUFFER_BYTES = 256 * 1024

/**
 * Checks files from the queue until it is empty and closed.
 *
 * @param post - is told of each file that is not as it should be, and of the end
 */
export async function checkQueue(
  start: StartChecking,
  post: (message: WorkerMessage) => void,
): Promise<void> {
  const rows = new FileRows(start.table)
  const queue = new WorkQueue(start.queue)
  const checker = new RowChecker(start, rows, queue)
  for (let place = queue.claim(); place !== -1; place = queue.claim()) {
    const row = queue.row(place)
    const algorithm = checker.missingAlgorithm(row)
    if (algorithm !== undefined && !(await queue.load(() => checker.createHasher(algorithm)))) return
    const finding = checker.check(place, row)
    if (finding !== undefined) post({ type: 'finding', place, finding })
    queue.setOutcome(place, finding === undefined ? outcomeCodes.good : outcomeCodes.told)
  }
  post({ type: 'done' })
}

/** Checks the files of rows, with memory that is used again. */
class RowChecker {
  readonly #rows: FileRows
  readonly #queue: WorkQueue
  readonly #path: PathBuffer
  readonly #contents: ContentCheck | undefined
  readonly #buffer: Buffer
  readonly #hashers = new Map<RealChecksumAlgorithm, FileHasher>()
  #bytesOfFile = 0

  constructor({ directory, content, replayedWal }: StartChecking, rows: FileRows, queue: WorkQueue) {
    this.#rows = rows
    this.#queue = queue
    this.#path = new PathBuffer(directory)
    this.#contents = content && new ContentCheck(content, new ReplayedWal(replayedWal), BUFFER_BYTES)
    this.#buffer = this.#contents?.buffer ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
  }

  /** What has to be created before the row is checked; for all but a few rows, nothing. */
  missingAlgorithm(row: number): RealChecksumAlgorithm | undefined {
    const algorithm = this.#rows.algorithm(row)
    return algorithm !== undefined && this.#hashers.has(algorithm) ? undefined : algorithm
  }

  async createHasher(algorithm: RealChecksumAlgorithm): Promise<void> {
    this.#hashers.set(algorithm, await createFileHasher(algorithm))
  }

  /** Checks the file of the row at this place of the queue; returns what there is to be told of it. */
  check(place: number, row: number): FileFinding | undefined {
    const rows = this.#rows
    const size = rows.size(row)
    const algorithm = rows.algorithm(row)
    const contents = this.#beginContent(row, size)
    this.#bytesOfFile = 0
    const outcome = checkFile(
      { path: this.#path.of(rows, row), size, checksum: rows.checksum(row) },
      this.#buffer,
      {
        hasher: algorithm && this.#hashers.get(algorithm),
        onContent: contents?.take,
        onBytes: this.#onBytes,
      },
    )
    // What will not be read counts as done, so that progress comes to its end.
    if (this.#bytesOfFile !== size) this.#queue.addBytesDone(size - this.#bytesOfFile)
    const isReadWhole = outcome.type === 'match' || outcome.type === 'mismatch'
    const content = isReadWhole ? contents?.end() : undefined
    if (content !== undefined) this.#queue.setPages(place, content.pages)
    if (outcome.type === 'match' && content?.findings === undefined) return undefined
    return { outcome, content: content?.findings }
  }

  /** What looks at the content of this row's file, if there is anything to look at. */
  #beginContent(row: number, size: number): ContentCheck | undefined {
    const contents = this.#contents
    // Every character of a name that has pages is ASCII.
    const isBegun = contents?.begin(this.#rows.pathnameBytes(row).toString('latin1'), size)
    return isBegun === true ? contents : undefined
  }

  readonly #onBytes = (bytes: number): void => {
    this.#bytesOfFile += bytes
    this.#queue.addBytesDone(bytes)
  }
}

/** Puts the directory before a pathname, in memory that is used again. */
class PathBuffer {
  readonly #prefixLength: number
  #buffer: Buffer

  constructor(directory: string) {
    const prefix = Buffer.from(`${directory}/`)
    this.#prefixLength = prefix.length
    this.#buffer = Buffer.concat([prefix, Buffer.alloc(4096)])
  }

  of(rows: FileRows, row: number): Buffer {
    const needed = this.#prefixLength + rows.pathnameBytes(row).length
    if (needed > this.#buffer.length) this.#buffer = Buffer.concat([this.#buffer, Buffer.alloc(needed)])
    return this.#buffer.subarray(0, rows.copyPathname(row, this.#buffer, this.#prefixLength))
  }
}
