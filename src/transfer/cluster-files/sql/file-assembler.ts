import { PbManifestError } from '../../../errors.js'
import type { FileEvent, RequestedFile } from '../cluster-files.js'
import type { BinaryRowHandler } from './binary-copy-parser.js'
import { readInt8 } from './copied-rows.js'
import { CHUNK_BYTES, type ReadStep } from './read-steps.js'

const zeros = Buffer.alloc(64 * 1024)

/** The file whose bytes are being given. */
interface FileInProgress {
  readonly file: RequestedFile
  readonly size: number
  /** How much of it was given. */
  offset: number
}

/**
 * Makes the events of files out of the rows that read them, and knows what is to be read next, also after a query that was
 * cut short.
 *
 * A file that one row has is told of when the row is complete, and read again from its beginning when it was cut: it may be
 * another file by then, such as a configuration file that was replaced. Larger ones are opened for each row anyway, and what
 * was read of them in parts, WAL replay makes good.
 */
export class FileAssembler implements BinaryRowHandler {
  readonly #files: readonly RequestedFile[]
  /** How much one query may read. */
  readonly #limit: number
  /** How many files are told already, those in progress and vanished included. */
  #begun = 0
  #current: FileInProgress | undefined
  /** The first place of the present query's list. */
  #base = 0
  /** Where the present row's bytes end. */
  #rowEnd = 0
  #events: FileEvent[] = []
  /** How many of them, the first ones, are of complete rows and of files that have several. */
  #ready = 0
  /** Where the present step began. */
  #stepFrom = ''

  constructor(files: readonly RequestedFile[], limit: number) {
    this.#files = files
    this.#limit = limit
  }

  /** What has to be read next; `undefined`: all was read. */
  nextStep(): ReadStep | undefined {
    if (this.#isHeld) {
      this.#begun--
      this.#current = undefined
      this.#events.length = this.#ready
    }
    const current = this.#current
    this.#stepFrom = this.#position
    if (current !== undefined) {
      const { file, offset, size } = current
      this.#base = this.#begun - 1
      return { kind: 'continue', pathname: file.pathname, offset, end: Math.min(size, offset + this.#limit) }
    }
    if (this.#begun === this.#files.length) return undefined
    this.#base = this.#begun
    const pathnames = this.#files.slice(this.#begun).map((file) => file.pathname)
    return { kind: 'begin', pathnames, limit: this.#limit }
  }

  /**
   * What was asked for by the last step has been answered: something has to have come.
   *
   * @throws {@link PbManifestError} `SERVER`
   */
  requireProgress(): void {
    if (this.#position !== this.#stepFrom) return
    throw new PbManifestError('SERVER', 'the server says nothing of the files that it was asked for')
  }

  /** Grows with whatever is told. */
  get #position(): string {
    return `${this.#begun} ${this.#current?.offset ?? -1}`
  }

  /** The events since the last call. Their bytes are valid until more is pushed. */
  takeEvents(): readonly FileEvent[] {
    if (!this.#isHeld) this.#ready = this.#events.length
    const events = this.#events.slice(0, this.#ready)
    this.#events = this.#events.slice(this.#ready).map(withOwnBytes)
    this.#ready = 0
    return events
  }

  /** Whether the file in progress is not to be told of yet. */
  get #isHeld(): boolean {
    const current = this.#current
    return (
      current !== undefined &&
      current.size > 0 &&
      current.size <= CHUNK_BYTES &&
      current.offset < current.size
    )
  }

  row(fields: readonly (Buffer | null)[], valueBytes: number | undefined): void {
    const [place, size, modified, at] = fields.map((field) => readInt8(field))
    const index = this.#base + (place ?? 0) - 1
    if (index >= this.#begun) this.#begin(index, size, modified ?? 0, valueBytes)
    const current = this.#current
    // Its first row found the file gone; here are the others.
    if (current === undefined || at === undefined) return
    if (at !== current.offset) throw new PbManifestError('SERVER', 'the rows of COPY are not in order')
    this.#rowEnd = Math.min(at + CHUNK_BYTES, current.size)
  }

  value(bytes: Buffer): void {
    const current = this.#current
    if (current === undefined) return
    current.offset += bytes.length
    if (current.offset > this.#rowEnd)
      throw new PbManifestError('SERVER', 'more of a file came than was asked for')
    this.#events.push({ type: 'bytes', bytes })
  }

  endOfRow(): void {
    const current = this.#current
    if (current === undefined) return
    // The file shrank, or is gone, since its size was taken: a server's own backup fills up with zeros.
    for (; current.offset < this.#rowEnd;) {
      this.value(zeros.subarray(0, Math.min(zeros.length, this.#rowEnd - current.offset)))
    }
    if (current.offset === current.size) this.#end()
  }

  #begin(index: number, size: number | undefined, modified: number, valueBytes: number | undefined): void {
    const file = this.#files[index]
    if (file === undefined || index !== this.#begun || this.#current !== undefined) {
      throw new PbManifestError('SERVER', 'the rows of COPY are not in order')
    }
    this.#begun++
    if (size !== undefined && size < 0) throw new PbManifestError('SERVER', 'a file has a negative size')
    if (size === undefined || (size > 0 && valueBytes === undefined)) {
      this.#events.push({ type: 'vanished', pathname: file.pathname })
      return
    }
    this.#ready = this.#events.length
    this.#events.push({ type: 'file', pathname: file.pathname, size, modified })
    this.#current = { file, size, offset: 0 }
    this.#rowEnd = 0
  }

  #end(): void {
    this.#events.push({ type: 'end' })
    this.#current = undefined
  }
}

function withOwnBytes(event: FileEvent): FileEvent {
  return event.type === 'bytes' ? { type: 'bytes', bytes: Buffer.from(event.bytes) } : event
}
