import { randomBytes } from 'node:crypto'
import { PbManifestError } from '../../errors.js'
import { displayPathname, encodePathname, isUtf8Pathname, type Pathname } from '../../files/pathname.js'
import { throwIfAborted } from '../../files/yielder.js'
import { loadCrc32cHasher } from '../../manifest/checksum/crc32c-engines.js'
import type { StoreAddress } from '../../source/store/store-address.js'
import { StoreClient } from '../../source/store/store-client.js'
import { storeFailure } from '../../source/store/store-error.js'
import type { StoreOptions } from '../../source/store/store-settings.js'
import { abortUpload } from './multipart-upload.js'
import { ObjectWriter, type WriterRoom } from './object-writer.js'
import type { StoreChecks, StoreWriting } from './put-object.js'

/** An object that has more is written in parts of so many bytes. */
const PART_BYTES = 8 * 1024 * 1024

/** So many parts an object may have. @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const MOST_PARTS = 10_000

/** What is on its way and what waits for it, of one worker: so many bytes, and so many requests. */
const BYTES_AT_ONCE = 4 * PART_BYTES
const REQUESTS_AT_ONCE = 32

/** A buffer that is larger has the size of a part, and is used again. */
const SMALL_BYTES = 1024 * 1024

/** Below which prefix of which store objects are written. Plain data: it crosses threads. */
export interface WritablePlace {
  readonly address: StoreAddress
  readonly store: StoreOptions
  readonly checks: StoreChecks
}

const LONGEST_KEY = 1024
const LONGEST_GIVING_UP_MS = 10_000

/** What is on its way is waited for, so that nothing comes after what is removed; but no longer. */
const LONGEST_WAIT_MS = 5000

/**
 * Writes objects, one after the other, and many at a time: what an object has is sent while the next one is being gathered. What
 * fails is told by the next call.
 */
export class ObjectWriters implements WriterRoom {
  readonly #place: WritablePlace
  readonly #signal: AbortSignal
  readonly #client: StoreClient
  readonly #free: Buffer[] = []
  readonly #onItsWay = new Set<Promise<unknown>>()
  readonly #open = new Set<ObjectWriter>()
  readonly #onAbort = (): void => void this.abandon()
  /** Cuts off what is on its way. */
  readonly #cut = new AbortController()
  #writing: Promise<StoreWriting> | undefined
  #abandoned: Promise<void> | undefined
  #bytes = 0
  #failure: unknown

  /** @param signal - gives up all objects that are not there yet */
  constructor(place: WritablePlace, signal: AbortSignal) {
    this.#place = place
    this.#signal = signal
    this.#client = new StoreClient(place.address, place.store, REQUESTS_AT_ONCE)
    signal.addEventListener('abort', this.#onAbort)
  }

  /**
   * Begins an object of exactly this many bytes.
   *
   * @throws {@link PbManifestError} `IO`
   */
  async begin(pathname: Pathname, size: number, isNew = false): Promise<ObjectWriter> {
    const key = keyOf(this.#place, pathname)
    const partBytes = Math.max(PART_BYTES, Math.ceil(size / MOST_PARTS))
    const isInParts = size > partBytes
    const object = { key, size, isNew, id: randomBytes(16).toString('hex') }
    this.#writing ??= this.#load()
    const [writing, crc32c] = await Promise.all([
      this.#writing,
      isInParts ? loadCrc32cHasher('little') : undefined,
    ])
    const writer = new ObjectWriter(this, {
      writing,
      object,
      partBytes,
      crc32c,
      signal: this.#cut.signal,
      buffer: await this.takeBuffer(Math.min(size, partBytes)),
    })
    this.#open.add(writer)
    return writer
  }

  /** Writes a small object. */
  async writeWhole(pathname: Pathname, content: Buffer, isNew = false): Promise<void> {
    const writer = await this.begin(pathname, content.length, isNew)
    await writer.write(content)
    writer.end()
  }

  /** Resolves when all objects that have come to their end are there. @throws {@link PbManifestError} `IO` */
  async flush(): Promise<void> {
    while (this.#onItsWay.size > 0) await Promise.race(this.#onItsWay)
    this.#throwIfFailed()
  }

  /** There are no more. @throws {@link PbManifestError} `IO` */
  async finish(): Promise<void> {
    await this.flush()
    this.#close()
  }

  /** Gives up what is not there yet, and waits until nothing is on its way. Never throws. */
  async abandon(): Promise<void> {
    this.#abandoned ??= this.#abandon()
    await this.#abandoned
  }

  async #abandon(): Promise<void> {
    const timer = setTimeout(() => this.#cut.abort(), LONGEST_WAIT_MS)
    while (this.#onItsWay.size > 0) await Promise.race(this.#onItsWay)
    clearTimeout(timer)
    this.#cut.abort()
    await Promise.all([...this.#open].map((writer) => this.#giveUp(writer)))
    this.#close()
  }

  /** A buffer of this size, as soon as there is room for it. */
  async takeBuffer(bytes: number): Promise<Buffer> {
    throwIfAborted(this.#signal)
    const isLarge = bytes > SMALL_BYTES
    const taken = isLarge ? Math.max(bytes, PART_BYTES) : bytes
    while (
      this.#onItsWay.size >= REQUESTS_AT_ONCE ||
      (this.#onItsWay.size > 0 && this.#bytes + taken > BYTES_AT_ONCE)
    ) {
      await Promise.race(this.#onItsWay)
    }
    this.#throwIfFailed()
    this.#bytes += taken
    const buffer = taken === PART_BYTES ? this.#free.pop() : undefined
    return (buffer ?? Buffer.allocUnsafeSlow(taken)).subarray(0, bytes)
  }

  giveBack(buffer: Buffer): void {
    const { byteLength } = buffer.buffer
    this.#bytes -= byteLength
    if (byteLength === PART_BYTES) this.#free.push(Buffer.from(buffer.buffer))
  }

  /** Something is on its way. */
  follow(writer: ObjectWriter, work: Promise<unknown>): void {
    const followed: Promise<unknown> = work
      .catch((error: unknown) => {
        if (!writer.isGivenUp) this.#failure ??= this.#explain(writer, error)
      })
      .finally(() => this.#onItsWay.delete(followed))
    this.#onItsWay.add(followed)
  }

  /** It is there, or is going to be. */
  leave(writer: ObjectWriter): void {
    this.#open.delete(writer)
  }

  /** Takes back what there is of an object that has not come to its end. */
  retract(writer: ObjectWriter): void {
    this.follow(writer, this.#giveUp(writer))
  }

  async #giveUp(writer: ObjectWriter): Promise<void> {
    this.#open.delete(writer)
    await writer.giveUp(async (uploadId) => {
      const signal = AbortSignal.timeout(LONGEST_GIVING_UP_MS)
      await abortUpload(this.#client, writer.key, uploadId, signal)
    })
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#client.close()
  }

  #explain({ key }: ObjectWriter, error: unknown): unknown {
    const { shown, prefix } = this.#place.address
    return storeFailure(`could not write "${shown}/${displayPathname(key.slice(prefix.length))}"`, error)
  }

  async #load(): Promise<StoreWriting> {
    const crc32c = await loadCrc32cHasher('little')
    return { client: this.#client, checks: this.#place.checks, crc32c }
  }
}

/** @throws {@link PbManifestError} `IO` for a name that no object can have */
function keyOf({ address }: WritablePlace, pathname: Pathname): Pathname {
  const key = address.prefix + pathname
  const reason = !isUtf8Pathname(key)
    ? 'its name is not UTF-8, and no object can have it'
    : encodePathname(key).length > LONGEST_KEY
      ? `its name is longer than the ${LONGEST_KEY} bytes that an object can have`
      : undefined
  if (reason === undefined) return key
  throw new PbManifestError(
    'IO',
    `could not write "${address.shown}/${displayPathname(pathname)}": ${reason}`,
    {
      hint: 'Take the backup into a directory, or into archives.',
    },
  )
}
