import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  statSync,
  writeSync,
} from 'node:fs'
import { displayPathname, type Pathname, pathOf } from '../files/pathname.js'
import { ioError } from '../files/system-error.js'
import type { CopyMethod } from './report.js'

/** What became of a file of the result. */
export interface WrittenFile {
  readonly size: number
  readonly modified: Date
}

/** A new file of the result that is written from its start to its end. */
export class NewFile {
  readonly #descriptor: number
  readonly #shown: string
  #size = 0

  private constructor(descriptor: number, shown: string) {
    this.#descriptor = descriptor
    this.#shown = shown
  }

  /** @throws {@link PbManifestError} `IO`, also when it is there */
  static create(directory: string, pathname: Pathname, mode: number): NewFile {
    const shown = displayPathname(`${directory}/${pathname}`)
    try {
      const descriptor = openSync(
        pathOf(directory, pathname),
        constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
        mode,
      )
      fchmodSync(descriptor, mode)
      return new NewFile(descriptor, shown)
    } catch (error) {
      throw ioError(`could not create file "${shown}"`, error)
    }
  }

  write(bytes: Buffer): void {
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#descriptor, bytes, at)
    } catch (error) {
      throw ioError(`could not write file "${this.#shown}"`, error)
    }
    this.#size += bytes.length
  }

  finish(): WrittenFile {
    return { size: this.#size, modified: fstatSync(this.#descriptor).mtime }
  }

  close(): void {
    closeSync(this.#descriptor)
  }
}

/**
 * Puts a whole file into the result without reading it.
 *
 * @throws {@link PbManifestError} `IO`, in the words of pg_combinebackup
 */
export function transferFile(
  source: { readonly path: string | Buffer; readonly shown: string },
  target: { readonly directory: string; readonly pathname: Pathname; readonly mode: number },
  method: Exclude<CopyMethod, 'auto' | 'copy'>,
): WrittenFile {
  const path = pathOf(target.directory, target.pathname)
  const names = `"${source.shown}" to "${displayPathname(`${target.directory}/${target.pathname}`)}"`
  const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE } = constants
  try {
    if (method === 'link') linkSync(source.path, path)
    else {
      copyFileSync(source.path, path, COPYFILE_EXCL | (method === 'clone' ? COPYFILE_FICLONE_FORCE : 0))
      chmodSync(path, target.mode)
    }
    const { size, mtime } = statSync(path)
    return { size, modified: mtime }
  } catch (error) {
    throw ioError(`${words[method]} ${names}`, error)
  }
}

const words = {
  link: 'could not create link from',
  clone: 'error while cloning file',
  'copy-file-range': 'error while copying file range from',
} as const

/** Makes a file durable. */
export function syncFile(directory: string, pathname: Pathname): void {
  try {
    const descriptor = openSync(pathOf(directory, pathname), constants.O_RDONLY)
    try {
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    throw ioError(`could not fsync file "${displayPathname(`${directory}/${pathname}`)}"`, error)
  }
}
