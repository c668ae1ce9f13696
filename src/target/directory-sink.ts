import { closeSync, fchmodSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { displayPathname, type Pathname, pathOf } from '../files/pathname.js'
import type { SafePathname } from '../files/safe-pathname.js'
import { ioError } from '../files/system-error.js'
import type { FileSink, TargetFile } from './file-sink.js'
import { Yielder } from '../files/yielder.js'

/**
 * More at a time makes Linux look for memory in larger pieces, for the page cache: dear where memory is fragmented, and
 * dearer in a virtual machine whose host has taken back what was free. 512 KiB took up to three times the processor time.
 */
const WRITE_BYTES = 128 * 1024

interface OpenFile {
  readonly pathname: SafePathname
  readonly descriptor: number
  written: number
}

/**
 * Files below a directory.
 *
 * Each is created: one that exists already is an error, so nothing that is not of this backup is ever overwritten.
 * Writing is synchronous: the bytes go to memory of the operating system, and a promise for each piece costs more.
 */
export class DirectorySink implements FileSink {
  readonly needsSizes = false
  readonly #directory: string
  readonly #written: WrittenFiles | undefined
  #open: OpenFile | undefined

  /** @param sync - whether each file is made durable in the end */
  constructor(directory: string, { sync }: { readonly sync: boolean }) {
    this.#directory = directory
    this.#written = sync ? new WrittenFiles(directory) : undefined
  }

  begin({ pathname, mode }: TargetFile): void {
    try {
      const descriptor = openSync(pathOf(this.#directory, pathname), 'wx', mode)
      this.#open = { pathname, descriptor, written: 0 }
      // Our umask may forbid what others are granted on the server.
      if (mode !== 0o600) fchmodSync(descriptor, mode)
    } catch (error) {
      throw ioError(`could not create file "${this.#pathOf(pathname)}"`, error)
    }
  }

  write(bytes: Buffer): void {
    const open = this.#requireOpen()
    try {
      for (let at = 0; at < bytes.length;) {
        // Each ends where a multiple of its size does in the file.
        const length = Math.min(bytes.length - at, WRITE_BYTES - ((open.written + at) % WRITE_BYTES))
        at += writeSync(open.descriptor, bytes, at, length)
      }
    } catch (error) {
      throw ioError(`could not write file "${this.#pathOf(open.pathname)}"`, error)
    }
    open.written += bytes.length
  }

  end(): void {
    const { pathname, descriptor } = this.#requireOpen()
    this.#open = undefined
    try {
      closeSync(descriptor)
    } catch (error) {
      throw ioError(`could not close file "${this.#pathOf(pathname)}"`, error)
    }
    this.#written?.add(pathname)
  }

  retract(): void {
    const { pathname } = this.#requireOpen()
    this.abandon()
    try {
      unlinkSync(pathOf(this.#directory, pathname))
    } catch (error) {
      throw ioError(`could not remove file "${this.#pathOf(pathname)}"`, error)
    }
  }

  abandon(): void {
    const open = this.#open
    this.#open = undefined
    if (open === undefined) return
    try {
      closeSync(open.descriptor)
    } catch {
      // There is an error on its way already, and the file is to be removed.
    }
  }

  async finish(signal: AbortSignal): Promise<void> {
    await this.#written?.sync(signal)
  }

  #requireOpen(): OpenFile {
    if (this.#open === undefined) throw new Error('no file is open')
    return this.#open
  }

  #pathOf(pathname: Pathname): string {
    return displayPathname(`${this.#directory}/${pathname}`)
  }
}

/**
 * The files that one worker wrote, to be made durable at the end: by then the operating system has written most of them
 * by itself, and a sync of each one at once would make the next one wait.
 */
class WrittenFiles {
  readonly #directory: string
  readonly #pathnames: SafePathname[] = []

  constructor(directory: string) {
    this.#directory = directory
  }

  add(pathname: SafePathname): void {
    this.#pathnames.push(pathname)
  }

  /** @throws {@link PbManifestError} `IO` or `ABORTED` */
  async sync(signal: AbortSignal): Promise<void> {
    const yielder = new Yielder(signal)
    for (const pathname of this.#pathnames) {
      this.#syncOne(pathname)
      if (yielder.isDue) await yielder.yield()
    }
  }

  #syncOne(pathname: SafePathname): void {
    try {
      // One that is for reading only on the server is so here.
      const descriptor = openSync(pathOf(this.#directory, pathname), 'r')
      try {
        fsyncSync(descriptor)
      } finally {
        closeSync(descriptor)
      }
    } catch (error) {
      throw ioError(`could not fsync file "${displayPathname(`${this.#directory}/${pathname}`)}"`, error)
    }
  }
}
