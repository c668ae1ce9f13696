import type { AnnouncedFile, FileSink, TargetFile } from '../file-sink.js'
import { SETTINGS_FILE } from '../recovery-settings.js'
import type { ObjectWriter } from './object-writer.js'
import { ObjectWriters, type WritablePlace } from './object-writers.js'

/** Where files go that become objects. */
export interface StorePlace extends WritablePlace {
  readonly kind: 'store'
  /** What `-R` adds to postgresql.auto.conf. */
  readonly recoverySettings: Uint8Array | undefined
  /** Whether that was done: not 0. */
  readonly settingsWritten: SharedArrayBuffer
}

interface OpenFile {
  readonly writer: ObjectWriter
  readonly addition: Uint8Array | undefined
}

/** Files that become objects below a prefix, of one worker. */
export class StoreSink implements FileSink {
  /** So that it is known whether a file is written in parts, and in which. */
  readonly needsSizes = true
  readonly #place: StorePlace
  readonly #writers: ObjectWriters
  #open: OpenFile | undefined

  constructor(place: StorePlace, signal: AbortSignal) {
    this.#place = place
    this.#writers = new ObjectWriters(place, signal)
  }

  async begin({ pathname }: TargetFile, announced: AnnouncedFile | undefined): Promise<void> {
    if (announced === undefined) throw new Error('the size of an object is not known')
    const addition = pathname === SETTINGS_FILE ? this.#place.recoverySettings : undefined
    const writer = await this.#writers.begin(pathname, announced.size + (addition?.length ?? 0))
    this.#open = { writer, addition }
  }

  write(bytes: Buffer): void | Promise<void> {
    return this.#requireOpen().writer.write(bytes)
  }

  end(): void | Promise<void> {
    const { writer, addition } = this.#requireOpen()
    this.#open = undefined
    if (addition === undefined) return writer.end()
    Atomics.store(new Int32Array(this.#place.settingsWritten), 0, 1)
    const writing = writer.write(addition)
    return writing === undefined ? writer.end() : writing.then(() => writer.end())
  }

  retract(): void {
    const { writer } = this.#requireOpen()
    this.#open = undefined
    this.#writers.retract(writer)
  }

  abandon(): void {
    this.#open = undefined
    void this.#writers.abandon()
  }

  async finish(): Promise<void> {
    await this.#writers.finish()
  }

  #requireOpen(): OpenFile {
    if (this.#open === undefined) throw new Error('no file is open')
    return this.#open
  }
}
