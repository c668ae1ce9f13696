import { checkFile } from './check-file.js'
import type { StartChecking, WorkerMessage } from './checksum-messages.js'
import { FileRows } from './file-table/file-rows.js'
import { ThreadHashers } from './thread-hashers.js'
import { outcomeCodes, WorkQueue } from './work-queue.js'

/** Large enough that calls cost little, small enough to stay in the processor's cache. */
const BUFFER_BYTES = 256 * 1024

/** Thrown out of the middle of a file whose result nobody waits for any more. */
class Abandoned extends Error {}

/**
 * Checks files from the queue until it is empty and closed, or abandoned.
 *
 * @param post - is told of each file that is not as it should be, and of the end
 */
export async function checkQueue(
  start: StartChecking,
  post: (message: WorkerMessage) => void,
): Promise<void> {
  const queue = new WorkQueue(start.queue)
  const hashers = new ThreadHashers(queue, (use) => post({ type: 'engine', use }))
  try {
    await checkClaimed(start, queue, hashers, post)
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error
  }
  post({ type: 'done' })
}

async function checkClaimed(
  { directory, table }: StartChecking,
  queue: WorkQueue,
  hashers: ThreadHashers,
  post: (message: WorkerMessage) => void,
): Promise<void> {
  const rows = new FileRows(table)
  const path = new PathBuffer(directory)
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  let bytesOfFile = 0
  const onBytes = (bytes: number): void => {
    if (queue.isAbandoned) throw new Abandoned()
    bytesOfFile += bytes
    queue.addBytesDone(bytes)
  }
  for (let place = queue.claim(); place !== -1; place = queue.claim()) {
    const row = queue.row(place)
    const ready = hashers.of(rows.algorithm(row) ?? 'CRC32C')
    const hasher = ready instanceof Promise ? await ready : ready
    const size = rows.size(row)
    bytesOfFile = 0
    const expected = { path: path.of(rows, row), size, checksum: rows.checksum(row) }
    const outcome = checkFile(expected, hasher, buffer, onBytes)
    if (outcome.type === 'match') {
      queue.setOutcome(place, outcomeCodes.good)
    } else {
      post({ type: 'finding', place, outcome })
      // What will not be read counts as done, so that progress comes to its end.
      queue.addBytesDone(size - bytesOfFile)
      queue.setOutcome(place, outcomeCodes.bad)
    }
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
