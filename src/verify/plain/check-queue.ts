import { type BigIntStats, fstatSync, statSync } from 'node:fs'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import { SharedRate } from '../../threads/shared-rate.js'
import { Abandoned } from '../../threads/claims.js'
import { ContentCheck } from '../content/content-check.js'
import { ReplayedWal } from '../content/replayed-wal.js'
import { FileRows } from '../file-table/file-rows.js'
import { absentFile, checkFile, ReadBuffer } from './check-file.js'
import {
  BUFFER_BYTES,
  type FileFinding,
  type FileStates,
  fileStates,
  type StartChecking,
  type WorkerMessage,
} from './checksum-messages.js'
import { EvidenceTable } from './evidence.js'
import { ThreadHashers } from './thread-hashers.js'
import { outcomeCodes, WorkQueue } from './work-queue.js'

/**
 * Checks files from the queue until it is empty and closed, or abandoned.
 *
 * @param post - is told of each file of which there is something to tell, and of the end
 */
export async function checkQueue(
  start: StartChecking,
  post: (message: WorkerMessage) => void,
): Promise<void> {
  try {
    await checkClaimed(start, post)
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error
  }
  post({ type: 'done' })
}

async function checkClaimed(start: StartChecking, post: (message: WorkerMessage) => void): Promise<void> {
  const rows = new FileRows(start.table)
  const queue = new WorkQueue(start.queue)
  const hashers = new ThreadHashers(queue, (use) => post({ type: 'engine', use }))
  const checker = new RowChecker(start, rows, queue)
  for (let place = queue.claim(); place !== -1; place = queue.claim()) {
    const row = queue.row(place)
    if (checker.isUnchanged(row)) {
      queue.setOutcome(place, outcomeCodes.unchanged)
      continue
    }
    const algorithm = rows.algorithm(row)
    const ready = algorithm && hashers.of(algorithm)
    const hasher = ready instanceof Promise ? await ready : ready
    const { good, told, absent } = outcomeCodes
    const finding = checker.check(place, row, hasher)
    const isAbsent = finding?.outcome === absentFile
    if (finding !== undefined && !isAbsent) post({ type: 'finding', place, finding })
    queue.setOutcome(place, isAbsent ? absent : finding === undefined ? good : told)
  }
}

/** Checks the files of rows, with memory that is used again. */
class RowChecker {
  readonly #rows: FileRows
  readonly #queue: WorkQueue
  readonly #path: PathBuffer
  readonly #contents: ContentCheck | undefined
  readonly #buffer: ReadBuffer
  readonly #states: FileStates
  readonly #witness: FileWitness | undefined
  readonly #rate: SharedRate | undefined
  #bytesOfFile = 0
  #row = 0

  constructor(start: StartChecking, rows: FileRows, queue: WorkQueue) {
    const { directory, content, replayedWal, states, evidence, rate } = start
    this.#rate = rate && new SharedRate(rate)
    const bufferBytes = Math.min(BUFFER_BYTES, this.#rate?.pieceBytes ?? BUFFER_BYTES)
    this.#rows = rows
    this.#witness = evidence && new FileWitness(new EvidenceTable(evidence.buffers), evidence.checks)
    this.#states = new Uint8Array(states)
    this.#queue = queue
    this.#path = new PathBuffer(directory)
    this.#contents = content && new ContentCheck(content, new ReplayedWal(replayedWal), bufferBytes)
    this.#buffer = new ReadBuffer(this.#contents?.buffer ?? Buffer.allocUnsafeSlow(bufferBytes))
  }

  /** Whether there is evidence that the file need not be read, and it is as it was then. */
  isUnchanged(row: number): boolean {
    const rows = this.#rows
    const size = rows.size(row)
    if (this.#witness?.mayRest(row) !== true) return false
    if (!this.#witness.isUnchanged(row, this.#path.of(rows, row), size)) return false
    this.#queue.addBytesDone(size)
    return true
  }

  /**
   * Checks the file of the row at this place of the queue.
   *
   * @param hasher - `undefined` when the manifest has no checksum of it
   * @returns what there is to be told of it
   * @throws {@link Abandoned}
   */
  check(place: number, row: number, hasher: FileHasher | undefined): FileFinding | undefined {
    const rows = this.#rows
    const size = rows.size(row)
    const state = this.#states[row]
    const witness = this.#witness
    witness?.begin(row)
    if (state === fileStates.faulty) {
      // It has been reported, and may be a FIFO.
      this.#queue.addBytesDone(size)
      return { outcome: { type: 'not a file' }, content: undefined }
    }
    const contents = this.#beginContent(row, size)
    this.#bytesOfFile = 0
    this.#row = row
    const outcome = checkFile(
      { path: this.#path.of(rows, row), size, findOtherChecksum: this.#findOtherChecksum },
      this.#buffer,
      {
        hasher,
        onContent: contents?.take,
        onBytes: this.#onBytes,
        onOpen: witness?.onOpen,
        onEnd: witness?.onEnd,
      },
      state === fileStates.intact || state === fileStates.regular,
    )
    // What will not be read counts as done, so that progress comes to its end.
    if (this.#bytesOfFile !== size) this.#queue.addBytesDone(size - this.#bytesOfFile)
    const isReadWhole = outcome.type === 'match' || outcome.type === 'mismatch'
    const content = isReadWhole ? contents?.end() : undefined
    if (content !== undefined) this.#queue.setPages(place, content.pages)
    if (outcome.type === 'match' && content?.findings === undefined) {
      witness?.record()
      return undefined
    }
    return { outcome, content: content?.findings }
  }

  /** What looks at the content of this row's file, if there is anything to look at. */
  #beginContent(row: number, size: number): ContentCheck | undefined {
    const contents = this.#contents
    // Every character of a name that has pages is ASCII.
    const isBegun = contents?.begin(this.#rows.latin1Pathname(row), size)
    return isBegun === true ? contents : undefined
  }

  readonly #findOtherChecksum = (hasher: FileHasher): string | undefined =>
    this.#rows.findOtherChecksum(this.#row, hasher)

  readonly #onBytes = (bytes: number): void => {
    this.#queue.throwIfAbandoned()
    this.#bytesOfFile += bytes
    this.#queue.addBytesDone(bytes)
    this.#rate?.takeSleeping(bytes, this.#throwIfAbandoned)
  }

  readonly #throwIfAbandoned = (): void => this.#queue.throwIfAbandoned()
}

/** Takes evidence of files that are read, and looks at it. */
class FileWitness {
  readonly #evidence: EvidenceTable
  readonly #checks: number
  #row = 0
  #before: BigIntStats | undefined
  #after: BigIntStats | undefined

  constructor(evidence: EvidenceTable, checks: number) {
    this.#evidence = evidence
    this.#checks = checks
  }

  mayRest(row: number): boolean {
    return this.#evidence.isToCompare(row)
  }

  isUnchanged(row: number, path: Buffer, size: number): boolean {
    try {
      return this.#evidence.fits(row, size, statSync(path, { bigint: true }))
    } catch {
      // Whoever reads it says what is wrong.
      return false
    }
  }

  /** Begins to read a file, of which nothing is known then. */
  begin(row: number): void {
    this.#evidence.begin(row, Date.now())
    this.#row = row
    this.#before = undefined
    this.#after = undefined
  }

  readonly onOpen = (descriptor: number): void => {
    this.#before = fstatSync(descriptor, { bigint: true })
  }

  readonly onEnd = (descriptor: number): void => {
    this.#after = fstatSync(descriptor, { bigint: true })
  }

  /** The file is good. */
  record(): void {
    if (this.#before === undefined || this.#after === undefined) return
    this.#evidence.record(this.#row, this.#before, this.#after, this.#checks)
  }
}

/** Puts the directory before a pathname, in memory that is used again. */
class PathBuffer {
  readonly #prefix: Buffer
  #buffer: ReadBuffer

  constructor(directory: string) {
    this.#prefix = Buffer.from(`${directory}/`)
    this.#buffer = this.#allocate(4096)
  }

  of(rows: FileRows, row: number): Buffer {
    const length = this.#prefix.length + rows.pathnameLength(row)
    if (length > this.#buffer.whole.length) this.#buffer = this.#allocate(length)
    rows.copyPathname(row, this.#buffer.whole, this.#prefix.length)
    return this.#buffer.first(length)
  }

  #allocate(length: number): ReadBuffer {
    return new ReadBuffer(Buffer.concat([this.#prefix, Buffer.alloc(length)]))
  }
}
