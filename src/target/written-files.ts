import { closeSync, fsyncSync, openSync } from 'node:fs'
import { Yielder } from '../files/yielder.js'
import { displayPathname, pathOf } from '../files/pathname.js'
import type { SafePathname } from '../files/safe-pathname.js'
import { ioError } from '../files/system-error.js'

/**
 * The files that one worker wrote, to be made durable at the end: by then the operating system has written most of them
 * by itself, and a sync of each one at once would make the next one wait.
 */
export class WrittenFiles {
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
