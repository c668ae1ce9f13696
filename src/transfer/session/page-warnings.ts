import { displayPathname, type Pathname } from '../../files/pathname.js'

/** So many wrong pages of a file are named one by one. */
const MAX_NAMED = 5

/** The warnings about one file's pages, in the server's words. @see src/backend/backup/basebackup.c (`sendFile`) */
export class PageWarnings {
  readonly #file: string
  readonly #warn: (message: string) => void
  #failures = 0

  constructor(pathname: Pathname, warn: (message: string) => void) {
    this.#file = displayPathname(pathname)
    this.#warn = warn
  }

  /** @param block - counted from the beginning of the file */
  mismatch(block: number, calculated: number, expected: number): void {
    this.#failures++
    if (this.#failures > MAX_NAMED) return
    this.#warn(
      `checksum verification failed in file "${this.#file}", block ${block}: ` +
        `calculated ${hex(calculated)} but expected ${hex(expected)}`,
    )
    if (this.#failures === MAX_NAMED) {
      this.#warn(`further checksum verification failures in file "${this.#file}" will not be reported`)
    }
  }

  partialPage(block: number, bytes: number, pageSize: number): void {
    this.#warn(
      `could not verify checksum in file "${this.#file}", block ${block}: ` +
        `read buffer size ${bytes} and page size ${pageSize} differ`,
    )
  }

  invalidSegment(): void {
    this.#warn(`could not verify checksum in file "${this.#file}": invalid segment number 0`)
  }

  /** The file has ended. */
  finish(): void {
    if (this.#failures <= 1) return
    this.#warn(`file "${this.#file}" has a total of ${this.#failures} checksum verification failures`)
  }
}

function hex(value: number): string {
  return value.toString(16).toUpperCase()
}
