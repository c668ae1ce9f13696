import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import {
  completeUpload,
  putPart,
  type StartedUpload,
  startUpload,
  type UploadedPart,
} from './multipart-upload.js'
import { base64OfCrc32c, putObject, type StoreWriting, type WrittenObject } from './put-object.js'

/** What all objects of a worker share. */
export interface WriterRoom {
  /** A buffer of this size, as soon as there is room for it. @throws what has failed meanwhile */
  takeBuffer(bytes: number): Promise<Buffer>
  giveBack(buffer: Buffer): void
  /** Something is on its way. */
  follow(writer: ObjectWriter, work: Promise<unknown>): void
  /** An object is there, or is not going to be. */
  leave(writer: ObjectWriter): void
}

interface ObjectWriterOptions {
  readonly writing: StoreWriting
  readonly object: WrittenObject
  readonly partBytes: number
  /** Of the whole object, when it is written in parts. */
  readonly crc32c: FileHasher | undefined
  readonly signal: AbortSignal
  readonly buffer: Buffer
}

/** One object that is written: as many bytes as were said, and `end`. */
export class ObjectWriter {
  readonly key: Pathname
  readonly #room: WriterRoom
  readonly #options: ObjectWriterOptions
  readonly #parts: Promise<UploadedPart>[] = []
  #upload: Promise<StartedUpload> | undefined
  #buffer: Buffer
  #used = 0
  #written = 0
  isGivenUp = false

  constructor(room: WriterRoom, options: ObjectWriterOptions) {
    this.key = options.object.key
    this.#room = room
    this.#options = options
    this.#buffer = options.buffer
  }

  /** How many bytes are still to come. */
  get missing(): number {
    return this.#options.object.size - this.#written
  }

  /** Appends. The bytes are the caller's again when it returns, or when what it returns is settled. */
  write(bytes: Uint8Array): void | Promise<void> {
    const rest = this.#fill(bytes)
    if (rest.length > 0) return this.#writeRest(rest)
  }

  /** All bytes are there. It does not wait for the store. */
  end(): void {
    if (this.missing !== 0) throw new Error(`an object lacks ${this.missing} bytes`)
    const { object, writing, signal } = this.#options
    if (this.#upload !== undefined) {
      this.#cut()
      return this.#room.follow(this, this.#complete(this.#upload))
    }
    const buffer = this.#buffer
    this.#buffer = EMPTY
    const put = async (): Promise<void> => {
      try {
        await putObject(writing, object, buffer, signal)
      } finally {
        this.#room.giveBack(buffer)
        this.#room.leave(this)
      }
    }
    this.#room.follow(this, put())
  }

  /** @param abort - gives up the parts that the store has. Never throws. */
  async giveUp(abort: (uploadId: string) => Promise<void>): Promise<void> {
    this.isGivenUp = true
    if (this.#buffer !== EMPTY) this.#room.giveBack(this.#buffer)
    this.#buffer = EMPTY
    await Promise.allSettled(this.#parts)
    try {
      const upload = await this.#upload
      if (upload !== undefined) await abort(upload.uploadId)
    } catch {
      // Whoever removes the backup looks for what is left.
    }
  }

  async #writeRest(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      this.#cut()
      const { partBytes } = this.#options
      this.#buffer = await this.#room.takeBuffer(Math.min(partBytes, this.missing))
      rest = this.#fill(rest)
    }
  }

  /** @returns what has no room */
  #fill(bytes: Uint8Array): Uint8Array {
    if (bytes.length > this.missing && this.#used === this.#buffer.length) {
      throw new PbManifestError('IO', `more bytes came for "${displayPathname(this.key)}" than were said`)
    }
    const length = Math.min(bytes.length, this.#buffer.length - this.#used)
    this.#buffer.set(bytes.subarray(0, length), this.#used)
    this.#used += length
    this.#written += length
    return bytes.subarray(length)
  }

  /** What is in the buffer becomes a part. */
  #cut(): void {
    const { writing, object, crc32c, signal } = this.#options
    const bytes = this.#buffer
    this.#buffer = EMPTY
    this.#used = 0
    if (this.#parts.length === 0) crc32c?.reset()
    crc32c?.update(bytes)
    const upload = (this.#upload ??= startUpload(writing, object, signal))
    const number = this.#parts.length + 1
    const put = async (): Promise<UploadedPart> => {
      try {
        return await putPart(writing, object.key, await upload, { number, bytes }, signal)
      } finally {
        this.#room.giveBack(bytes)
      }
    }
    const part = put()
    this.#parts.push(part)
    this.#room.follow(this, part)
  }

  async #complete(upload: Promise<StartedUpload>): Promise<void> {
    const { writing, object, crc32c, signal } = this.#options
    const parts = await Promise.all(this.#parts)
    const sum = base64OfCrc32c(crc32c?.digest() ?? '')
    await completeUpload(writing, object, await upload, { parts, crc32c: sum }, signal)
    this.#room.leave(this)
  }
}

const EMPTY = Buffer.alloc(0)
