import { isPbManifestError } from '../../errors.js'
import { decodePathname } from '../../files/pathname.js'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import type { ListedObject } from '../../source/store/list-objects.js'
import { takeObject } from '../../source/store/read-object.js'
import { StoreClient } from '../../source/store/store-client.js'
import { StoreError } from '../../source/store/store-error.js'
import { askStoredChecksum, isStoredAlgorithm, mayKeepChecksum } from '../../source/store/stored-checksum.js'
import { Abandoned } from '../../threads/claims.js'
import { SharedRate } from '../../threads/shared-rate.js'
import { ContentCheck } from '../content/content-check.js'
import { ReplayedWal } from '../content/replayed-wal.js'
import { FileRows } from '../file-table/file-rows.js'
import type { FileOutcome } from '../plain/check-file.js'
import {
  BUFFER_BYTES,
  type FileFinding,
  type StartChecking,
  type StoredObjects,
  type WorkerMessage,
} from '../plain/checksum-messages.js'
import { ThreadHashers } from '../plain/thread-hashers.js'
import { outcomeCodes, WorkQueue } from '../plain/work-queue.js'
import { MemoryBudget, Places } from './places.js'

/**
 * Of the objects that a thread has asked for, so many may be no small ones, each of which has memory of its own. They are more than
 * keep it busy, as each of them waits for the store first.
 */
const LARGE_LANES = 16

/** A small object is kept until it is there whole, so that many of them can come at a time; */
const SMALL_BYTES = BUFFER_BYTES
/** so much of them. */
const KEPT_BYTES = 32 * SMALL_BYTES

/** How often a thread looks whether anybody still wants to know, in milliseconds. */
const INTERVAL_MS = 200

/**
 * Checks objects from the queue until it is empty, which has to be complete by then, or abandoned: `checkQueue` for files that
 * are in an object store.
 */
export async function checkObjects(
  start: StartChecking,
  post: (message: WorkerMessage) => void,
): Promise<void> {
  const { objects } = start
  if (objects === undefined) throw new TypeError('there are no objects to check')
  const ended = new AbortController()
  const checker = new ObjectChecker(start, objects, post, ended.signal)
  const timer = setInterval(() => {
    if (checker.isAbandoned) ended.abort()
  }, INTERVAL_MS)
  try {
    await Promise.all(Array.from({ length: objects.lanes }, () => checker.run()))
  } catch (error) {
    const failure = error instanceof StoreError || isPbManifestError(error) ? error : undefined
    if (!(error instanceof Abandoned) && !ended.signal.aborted) {
      if (failure === undefined) throw error
      const { shown } = objects.address
      const message = isPbManifestError(failure)
        ? failure.message
        : `could not read "${shown}": ${failure.message}`
      post({ type: 'failure', message, options: failure.hint === undefined ? {} : { hint: failure.hint } })
    }
  } finally {
    clearInterval(timer)
    ended.abort()
    checker.close()
  }
  post({ type: 'done' })
}

/** What takes the bytes of one object after the other. */
interface Workplace {
  readonly hashers: ThreadHashers
  readonly contents: ContentCheck | undefined
}

interface FileReading extends FileFinding {
  /** How many were looked at. */
  readonly pages?: number
}

class ObjectChecker {
  readonly #rows: FileRows
  readonly #queue: WorkQueue
  readonly #objects: StoredObjects
  readonly #client: StoreClient
  readonly #post: (message: WorkerMessage) => void
  readonly #signal: AbortSignal
  readonly #rate: SharedRate | undefined
  readonly #small: Workplace
  readonly #kept = new MemoryBudget(KEPT_BYTES)
  readonly #large: Places<Workplace>

  constructor(
    start: StartChecking,
    objects: StoredObjects,
    post: (message: WorkerMessage) => void,
    signal: AbortSignal,
  ) {
    this.#rows = new FileRows(start.table)
    this.#queue = new WorkQueue(start.queue)
    this.#objects = objects
    const onRetry = (words: string): void => post({ type: 'retry', words })
    this.#client = new StoreClient(objects.address, objects.options, objects.lanes, onRetry)
    this.#post = post
    this.#signal = signal
    this.#rate = start.rate && new SharedRate(start.rate)
    const makePlace = (): Workplace => ({
      hashers: new ThreadHashers(this.#queue, (use) => post({ type: 'engine', use })),
      contents:
        start.content && new ContentCheck(start.content, new ReplayedWal(start.replayedWal), BUFFER_BYTES),
    })
    this.#small = makePlace()
    this.#large = new Places(LARGE_LANES, makePlace)
  }

  get isAbandoned(): boolean {
    return this.#queue.isAbandoned
  }

  close(): void {
    this.#client.close()
  }

  /** One lane: checks one object after the other. */
  async run(): Promise<void> {
    for (;;) {
      // Who took a large object and then waited for a place would keep it from threads that have one.
      const held = this.#isNextLarge() ? await this.#large.take() : undefined
      const place = this.#queue.claim()
      try {
        if (place === -1) return
        await this.#check(place, this.#queue.row(place), held)
      } finally {
        if (held !== undefined) this.#large.giveBack(held)
      }
    }
  }

  /** Where the store is asked for a checksum first, it is not known whether anything will be read. */
  #isNextLarge(): boolean {
    const row = this.#objects.listedChecksums === undefined ? this.#queue.nextRow : undefined
    return row !== undefined && this.#rows.size(row) > SMALL_BYTES
  }

  async #check(place: number, row: number, held: Workplace | undefined): Promise<void> {
    const isGoodByStore = await this.#isGoodByStore(row)
    const finding = isGoodByStore ? undefined : await this.#readIntoPlace(place, row, held)
    this.#queue.addBytesDone(this.#rows.size(row))
    if (finding !== undefined) this.#post({ type: 'finding', place, finding })
    const good = isGoodByStore ? outcomeCodes.goodByStore : outcomeCodes.good
    this.#queue.setOutcome(place, finding === undefined ? good : outcomeCodes.told)
  }

  /** Whether the store keeps the checksum that the manifest has. One that it does not have is no proof that the bytes are wrong. */
  async #isGoodByStore(row: number): Promise<boolean> {
    const { listedChecksums } = this.#objects
    const algorithm = this.#rows.algorithm(row)
    if (listedChecksums === undefined || !isStoredAlgorithm(algorithm) || this.#rows.size(row) === 0)
      return false
    const object = this.#objectOf(row)
    if (!mayKeepChecksum(listedChecksums.get(object.pathname), algorithm)) return false
    this.#queue.throwIfAbandoned()
    const checksum = await askStoredChecksum(this.#client, object, algorithm, this.#signal)
    // A manifest has a CRC as it lies in the memory of a little-endian machine.
    if (algorithm === 'CRC32C') checksum?.reverse()
    return checksum?.toString('hex') === this.#rows.checksum(row)
  }

  #objectOf(row: number): Pick<ListedObject, 'pathname' | 'key' | 'size' | 'etag'> {
    const pathname = decodePathname(this.#rows.pathnameBytes(row))
    const { address, etags } = this.#objects
    const etag = etags.get(pathname) ?? ''
    return { pathname, key: address.prefix + pathname, size: this.#rows.size(row), etag }
  }

  async #readIntoPlace(
    place: number,
    row: number,
    held: Workplace | undefined,
  ): Promise<FileFinding | undefined> {
    const size = this.#rows.size(row)
    const isSmall = size <= SMALL_BYTES
    if (isSmall) await this.#kept.take(size)
    const workplace = isSmall ? this.#small : (held ?? (await this.#large.take()))
    try {
      const first = await this.#read(row, workplace, isSmall)
      const { outcome, content, pages } =
        first.outcome.type === 'mismatch'
          ? await this.#readAgain(row, workplace, isSmall, first.outcome.checksum)
          : first
      if (pages !== undefined) this.#queue.setPages(place, pages)
      return outcome.type === 'match' && content === undefined ? undefined : { outcome, content }
    } finally {
      if (isSmall) this.#kept.giveBack(size)
      else if (workplace !== held) this.#large.giveBack(workplace)
    }
  }

  /**
   * What came may be damaged, and not what is there. That is not called good, for the next who reads it may get the same, but is told
   * otherwise than what is wrong each time.
   */
  async #readAgain(
    row: number,
    workplace: Workplace,
    isSmall: boolean,
    checksum: string,
  ): Promise<FileReading> {
    const again = await this.#read(row, workplace, isSmall)
    return again.outcome.type === 'match' ? { ...again, outcome: { type: 'transient', checksum } } : again
  }

  async #read(row: number, { hashers, contents }: Workplace, isSmall: boolean): Promise<FileReading> {
    const rows = this.#rows
    const object = this.#objectOf(row)
    const { size } = object
    const algorithm = rows.algorithm(row)
    const hasher = algorithm && (await hashers.of(algorithm))
    const begin = (): ContentCheck | undefined => {
      hasher?.reset()
      return contents?.begin(rows.latin1Pathname(row), size) === true ? contents : undefined
    }
    try {
      const kept: Buffer[] = []
      let rest = 0
      let content = isSmall ? undefined : begin()
      await takeObject(this.#client, object, this.#signal, (chunk) => {
        this.#queue.throwIfAbandoned()
        if (isSmall) kept.push(chunk)
        else rest = take(chunk, hasher, content, rest)
        return this.#rate?.take(chunk.length, this.#signal)
      })
      // From here on nothing is waited for: other small objects use the same workplace.
      if (isSmall) {
        content = begin()
        for (const chunk of kept) rest = take(chunk, hasher, content, rest)
      }
      const end = content?.end()
      const checksum = hasher && rows.findOtherChecksum(row, hasher)
      const outcome: FileOutcome = checksum === undefined ? { type: 'match' } : { type: 'mismatch', checksum }
      return { outcome, content: end?.findings, ...(end !== undefined && { pages: end.pages }) }
    } catch (error) {
      if (!(error instanceof StoreError) || !error.isOfObject) throw error
      const { code, message, detail } = error
      return { outcome: { type: 'failed', call: 'read', code, message, detail }, content: undefined }
    }
  }
}

/** @returns how many bytes of the content wait for more */
function take(
  chunk: Buffer,
  hasher: FileHasher | undefined,
  content: ContentCheck | undefined,
  rest: number,
): number {
  hasher?.update(chunk)
  if (content === undefined) return 0
  let left = rest
  for (let at = 0; at < chunk.length;) {
    const copied = chunk.copy(content.buffer, left, at)
    at += copied
    left = content.take(left + copied)
  }
  return left
}
