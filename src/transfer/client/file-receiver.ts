import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import type { SafePathname } from '../../files/safe-pathname.js'
import { keepsContent } from '../../manifest/contents/written-archives.js'
import type { FileSink, TargetFile } from '../../target/file-sink.js'
import type { SentFileEvent } from '../commands/replication-command.js'

/** A file that was received whole. Plain data: it crosses threads. */
export interface ReceivedFile {
  readonly pathname: SafePathname
  readonly size: number
  /** As the manifest will have it; `undefined` without checksums. */
  readonly checksum: string | undefined
  /** Of what went into an archive: the bytes, where a check will want them; see {@link keepsContent}. */
  readonly content?: Uint8Array | undefined
}

/** A file that is asked for. Plain data: it crosses threads. */
export interface WantedFile extends TargetFile {
  /** As it was listed: it may be another one by now. */
  readonly size: number
  /** See `ListedFile`. */
  readonly wholeSize?: number | undefined
}

/** Which files are to come, where they go, and who is told. */
export interface ReceiverOptions {
  readonly sink: FileSink
  /** What was asked for, in this order: nothing else is written. */
  readonly files: readonly WantedFile[]
  /** Is told of bytes as they are written. */
  readonly onBytes: (bytes: number) => void
  readonly onFile: (file: ReceivedFile) => void
  /** It was gone before it could be read. */
  readonly onVanished: (pathname: SafePathname) => void
}

interface OpenFile {
  readonly pathname: SafePathname
  /** What was said of its size. */
  readonly announced: number | undefined
  written: number
  readonly kept: Buffer[] | undefined
}

/** Takes what SEND_FILE streams, one file after the other, and hands it on. */
export class FileReceiver {
  readonly #options: ReceiverOptions
  #open: OpenFile | undefined
  /** Of the next file, among those that were asked for. */
  #place = 0

  constructor(options: ReceiverOptions) {
    this.#options = options
  }

  /**
   * @returns what is to be waited for before the next event, when there is anything
   * @throws {@link PbManifestError} `IO`, or `SERVER` when the events make no sense
   */
  accept(event: SentFileEvent): void | Promise<void> {
    switch (event.type) {
      case 'file':
        return this.#begin(event)
      case 'bytes':
        return this.#write(event.bytes)
      case 'end':
        return this.#end(event.size, event.checksum)
      case 'vanished':
        return this.#options.onVanished(this.#next(event.pathname).pathname)
      default:
        return event satisfies never
    }
  }

  /** Leaves a file that has not come to its end. Never throws. */
  close(): void {
    if (this.#open !== undefined) this.#options.sink.abandon()
    this.#open = undefined
  }

  /**
   * Takes back a file that has not come to its end: it is going to begin again.
   *
   * @returns how many bytes of it had come
   * @throws {@link PbManifestError} `IO`
   */
  retract(): number {
    const open = this.#open
    this.#open = undefined
    if (open === undefined) return 0
    this.#options.sink.retract()
    return open.written
  }

  /** The file that is due, when this is its name. */
  #next(pathname: Pathname): WantedFile {
    if (this.#open !== undefined)
      throw protocolError(pathname, 'it begins before the one before it has ended')
    const asked = this.#options.files[this.#place++]
    if (asked?.pathname !== pathname) throw protocolError(pathname, 'it was not asked for')
    return asked
  }

  #begin({ pathname, announced }: Extract<SentFileEvent, { type: 'file' }>): void | Promise<void> {
    const { sink } = this.#options
    const asked = this.#next(pathname)
    if (sink.needsSizes && announced === undefined) throw protocolError(pathname, 'its size is not known')
    const isKept = sink.needsSizes && keepsContent(pathname, announced?.size ?? 0)
    const kept = isKept ? [] : undefined
    this.#open = { pathname: asked.pathname, announced: announced?.size, written: 0, kept }
    return sink.begin(asked, announced)
  }

  #write(bytes: Buffer): void | Promise<void> {
    const open = this.#requireOpen()
    open.written += bytes.length
    const { pathname, announced = open.written, written } = open
    if (written > announced)
      throw protocolError(pathname, `more bytes come than the ${announced} that were said`)
    // Their memory is the caller's again.
    open.kept?.push(Buffer.from(bytes))
    this.#options.onBytes(bytes.length)
    return this.#options.sink.write(bytes)
  }

  #end(size: number, checksum: string | undefined): void | Promise<void> {
    const { pathname, announced = size, written, kept } = this.#requireOpen()
    if (announced !== size)
      throw protocolError(pathname, `it has ${size} bytes, and not ${announced} as was said`)
    if (written !== size) throw protocolError(pathname, `${written} bytes came of ${size}`)
    const tell = (): void => {
      this.#open = undefined
      const content = kept && { content: Buffer.concat(kept) }
      this.#options.onFile({ pathname, size, checksum, ...content })
    }
    const ending = this.#options.sink.end()
    return ending === undefined ? tell() : ending.then(tell)
  }

  #requireOpen(): OpenFile {
    if (this.#open === undefined) throw protocolError('', 'bytes came before the file they are of')
    return this.#open
  }
}

function protocolError(pathname: Pathname, reason: string): PbManifestError {
  return new PbManifestError('SERVER', `could not receive file "${displayPathname(pathname)}": ${reason}`)
}
