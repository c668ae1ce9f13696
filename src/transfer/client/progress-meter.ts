import type { Pathname } from '../../files/pathname.js'
import type { Tablespace } from '../cluster-files/cluster-files.js'
import type { BackupProgress } from './options.js'

const INTERVAL_MS = 1000

/** The files of the data directory, among those of tablespaces. */
const DATA_DIRECTORY = ''

/** Tells how far the copying has come, all workers together: once a second, and at the end. */
export class ProgressMeter {
  readonly #bytesExpected: number
  readonly #bytesDone: () => number
  readonly #tell: (progress: BackupProgress) => void
  readonly #fileNow: () => string
  /** Files still to be copied, by the OID of their tablespace. */
  readonly #left = new Map<string, number>()
  readonly #timer: NodeJS.Timeout

  /**
   * @param tablespaces - with their sizes
   * @param pathnames - all files that will be copied
   * @param now - `bytesDone`: by all workers; `file`: what one of them is at
   */
  constructor(
    tablespaces: readonly Tablespace[],
    pathnames: Iterable<Pathname>,
    now: { readonly bytesDone: () => number; readonly file: () => string },
    tell: (progress: BackupProgress) => void,
  ) {
    this.#bytesExpected = tablespaces.reduce((sum, { bytes = 0 }) => sum + bytes, 0)
    for (const { oid } of tablespaces) this.#left.set(oid === undefined ? DATA_DIRECTORY : String(oid), 0)
    this.#bytesDone = now.bytesDone
    this.#fileNow = now.file
    this.#tell = tell
    for (const pathname of pathnames) {
      const tablespace = tablespaceOf(pathname)
      this.#left.set(tablespace, (this.#left.get(tablespace) ?? 0) + 1)
    }
    this.#timer = setInterval(() => this.#report(), INTERVAL_MS)
    this.#report()
  }

  /** A file is here, or is gone on the server. */
  fileDone(pathname: Pathname): void {
    const tablespace = tablespaceOf(pathname)
    const left = (this.#left.get(tablespace) ?? 1) - 1
    this.#left.set(tablespace, left)
    // As the peer, which takes one after the other; that all are done, finish() says.
    if (left === 0 && [...this.#left.values()].some((files) => files > 0)) this.#report()
  }

  /** All is copied: says so. */
  finish(): void {
    this.close()
    const bytes = this.#bytesDone()
    const { size } = this.#left
    const done = { bytesDone: bytes, bytesTotal: bytes, tablespacesDone: size, tablespacesTotal: size }
    this.#tell({ ...done, file: undefined })
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #report(): void {
    const bytesDone = this.#bytesDone()
    const left = [...this.#left.values()]
    this.#tell({
      bytesDone,
      // Files have grown since the total was worked out.
      bytesTotal: Math.max(bytesDone, this.#bytesExpected),
      tablespacesDone: left.filter((files) => files === 0).length,
      tablespacesTotal: left.length,
      file: this.#fileNow(),
    })
  }
}

function tablespaceOf(pathname: Pathname): string {
  return /^pg_tblspc\/([0-9]+)\//.exec(pathname)?.[1] ?? DATA_DIRECTORY
}
