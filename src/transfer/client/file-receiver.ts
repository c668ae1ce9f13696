import { closeSync, fchmodSync, openSync, writeSync } from 'node:fs'
import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname, pathOf } from '../../files/pathname.js'
import { ioError } from '../../files/system-error.js'
import type { SafePathname } from '../../files/safe-pathname.js'
import type { SentFileEvent } from '../commands/command-results.js'

/** A file that was received whole. Plain data: it crosses threads. */
export interface ReceivedFile {
  readonly pathname: SafePathname
  readonly size: number
  /** As the manifest will have it; `undefined` without checksums. */
  readonly checksum: string | undefined
}

/** A file that is asked for. Plain data: it crosses threads. */
export interface WantedFile {
  readonly pathname: SafePathname
  /** As it was listed: it may be another one by now. */
  readonly size: number
  /** Its permission bits here. */
  readonly mode: number
  /** See `ListedFile`. */
  readonly wholeSize?: number | undefined
}

/** Which files are to come, and where they go. */
export interface FileTarget {
  /** The directory that becomes the data directory. */
  readonly directory: string
  /** What was asked for, in this order: nothing else is written. */
  readonly files: readonly WantedFile[]
  /** Is told of bytes as they are written. */
  readonly onBytes: (bytes: number) => void
  readonly onFile: (file: ReceivedFile) => void
  /** It was gone before it could be read. */
  readonly onVanished: (pathname: SafePathname) => void
}

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
 * Writes what SEND_FILE streams, one file after the other.
 *
 * Each file is created: one that exists already is an error, so nothing that is not of this backup is ever overwritten.
 * Writing is synchronous: the bytes go to memory of the operating system, and a promise for each piece costs more.
 */
export class FileReceiver {
  readonly #target: FileTarget
  #open: OpenFile | undefined
  /** Of the next file, among those that were asked for. */
  #place = 0

  constructor(target: FileTarget) {
    this.#target = target
  }

  /** @throws {@link PbManifestError} `IO`, or `SERVER` when the events make no sense */
  accept(event: SentFileEvent): void {
    switch (event.type) {
      case 'file':
        return this.#begin(event.pathname)
      case 'bytes':
        return this.#write(event.bytes)
      case 'end':
        return this.#end(event.size, event.checksum)
      case 'vanished':
        return this.#target.onVanished(this.#next(event.pathname).pathname)
      default:
        return event satisfies never
    }
  }

  /** Closes a file that has not come to its end. Never throws. */
  close(): void {
    const open = this.#open
    this.#open = undefined
    if (open === undefined) return
    try {
      closeSync(open.descriptor)
    } catch {
      // There is an error on its way already, and the file is to be removed.
    }
  }

  /** The file that is due, when this is its name. */
  #next(pathname: Pathname): WantedFile {
    if (this.#open !== undefined)
      throw protocolError(pathname, 'it begins before the one before it has ended')
    const asked = this.#target.files[this.#place++]
    if (asked?.pathname !== pathname) throw protocolError(pathname, 'it was not asked for')
    return asked
  }

  #begin(name: Pathname): void {
    const { directory } = this.#target
    const { pathname, mode } = this.#next(name)
    try {
      const descriptor = openSync(pathOf(directory, pathname), 'wx', mode)
      this.#open = { pathname, descriptor, written: 0 }
      // Our umask may forbid what others are granted on the server.
      if (mode !== 0o600) fchmodSync(descriptor, mode)
    } catch (error) {
      throw ioError(`could not create file "${this.#pathOf(pathname)}"`, error)
    }
  }

  #write(bytes: Buffer): void {
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
    this.#target.onBytes(bytes.length)
  }

  #end(size: number, checksum: string | undefined): void {
    const { pathname, descriptor, written } = this.#requireOpen()
    if (written !== size) throw protocolError(pathname, `${written} bytes came of ${size}`)
    this.#open = undefined
    try {
      closeSync(descriptor)
    } catch (error) {
      throw ioError(`could not close file "${this.#pathOf(pathname)}"`, error)
    }
    this.#target.onFile({ pathname, size, checksum })
  }

  #requireOpen(): OpenFile {
    if (this.#open === undefined) throw protocolError('', 'bytes came before the file they are of')
    return this.#open
  }

  #pathOf(pathname: Pathname): string {
    return displayPathname(`${this.#target.directory}/${pathname}`)
  }
}

function protocolError(pathname: Pathname, reason: string): PbManifestError {
  return new PbManifestError('SERVER', `could not receive file "${displayPathname(pathname)}": ${reason}`)
}
