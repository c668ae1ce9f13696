import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import { checkFile } from './check-file.js'
import type { FileFinding, StartChecking } from './checksum-messages.js'
import { ContentCheck } from '../content/content-check.js'
import { ReplayedWal } from '../content/replayed-wal.js'
import { type FileStates, fileStates } from './file-states.js'
import type { FileRows } from '../file-table/file-rows.js'
import { PathBuffer } from './path-buffer.js'
import type { WorkQueue } from './work-queue.js'

/** Large enough that calls cost little, small enough to stay in the processor's cache; whole pages. */
const BUFFER_BYTES = 512 * 1024

/** Checks the files of rows, with memory that is used again. */
export class RowChecker {
  readonly #rows: FileRows
  readonly #queue: WorkQueue
  readonly #path: PathBuffer
  readonly #contents: ContentCheck | undefined
  readonly #buffer: Buffer
  readonly #states: FileStates
  #bytesOfFile = 0

  constructor({ directory, content, replayedWal, states }: StartChecking, rows: FileRows, queue: WorkQueue) {
    this.#rows = rows
    this.#states = new Uint8Array(states)
    this.#queue = queue
    this.#path = new PathBuffer(directory)
    this.#contents = content && new ContentCheck(content, new ReplayedWal(replayedWal), BUFFER_BYTES)
    this.#buffer = this.#contents?.buffer ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
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
    if (state === fileStates.faulty) {
      // It has been reported, and may be a FIFO.
      this.#queue.addBytesDone(size)
      return { outcome: { type: 'not a file' }, content: undefined }
    }
    const contents = this.#beginContent(row, size)
    this.#bytesOfFile = 0
    const outcome = checkFile(
      { path: this.#path.of(rows, row), size, checksum: rows.checksum(row) },
      this.#buffer,
      { hasher, onContent: contents?.take, onBytes: this.#onBytes },
      state === fileStates.intact || state === fileStates.regular,
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
    this.#queue.throwIfAbandoned()
    this.#bytesOfFile += bytes
    this.#queue.addBytesDone(bytes)
  }
}
