import { constants, lstatSync, openSync, type Stats } from 'node:fs'
import {
  NotARegularFileError,
  type OpenedFile,
  requireRegularFile,
} from '../../../files/open-regular-file.js'
import { displayPathname, type Pathname, pathOf } from '../../../files/pathname.js'
import { describeSystemError, ioError, isNotThere } from '../../../files/system-error.js'
import {
  type ClusterLayout,
  entrySelector,
  isBelowBackupDirectories,
} from '../../../manifest/contents/select-entries.js'
import { unsafePathnameReason } from '../../../files/safe-pathname.js'
import { isLeftOutOfBaseBackup } from '../../../postgres/data-directory.js'
import { RefusedError } from '../../commands/refused-error.js'

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants

/**
 * Opens files of a cluster by pathnames that somebody else made up, and nothing else.
 *
 * A pathname has to be in its shortest form, inside the data directory, and of a kind that base backups have. On the way
 * to it there must be no links but those that make tablespaces, and pg_wal, which is often one. Who can put links into
 * the data directory while we look is its owner, and reads the cluster anyway.
 */
export class LocalPathnames {
  readonly #directory: string
  readonly #layout: ClusterLayout

  constructor(directory: string, layout: ClusterLayout) {
    this.#directory = directory
    this.#layout = layout
  }

  /**
   * Opens a regular file; the caller closes it. A FIFO is refused without waiting for it.
   *
   * @returns `undefined` when there is no such file
   * @throws {@link PbManifestError} `USAGE` when the pathname is refused, or `IO`
   */
  open(pathname: Pathname): OpenedFile | undefined {
    this.#requirePartOfBackup(pathname)
    try {
      this.#requireNoLinks(pathname)
      return openWithoutLink(pathOf(this.#directory, pathname))
    } catch (error) {
      if (isNotThere(error)) return undefined
      if (error instanceof NotARegularFileError || describeSystemError(error)?.code === 'ELOOP') {
        throw refuse(pathname, 'it is not a regular file')
      }
      throw ioError(`could not open file "${displayPathname(pathname)}"`, error)
    }
  }

  #requirePartOfBackup(pathname: Pathname): void {
    const unsafe = unsafePathnameReason(pathname)
    if (unsafe !== undefined) throw refuse(pathname, unsafe)
    const slash = pathname.lastIndexOf('/')
    const parent = pathname.slice(0, Math.max(slash, 0))
    const name = pathname.slice(slash + 1)
    const isPart =
      parent === 'pg_wal'
        ? !isLeftOutOfBaseBackup(name)
        : isBelowBackupDirectories(pathname, this.#layout, 'cluster') &&
          // Of an unlogged relation it is not, but that shows by its neighbours only.
          entrySelector(parent, [], this.#layout, 'cluster')({ name, kind: 'file' }) === 'file'
    if (!isPart) throw refuse(pathname, 'it is not part of a base backup')
  }

  #requireNoLinks(pathname: Pathname): void {
    for (let end = pathname.indexOf('/'); end !== -1; end = pathname.indexOf('/', end + 1)) {
      const parent = pathname.slice(0, end)
      if (mayBeLink(parent)) continue
      const stats: Stats = lstatSync(pathOf(this.#directory, parent))
      if (!stats.isDirectory())
        throw refuse(pathname, 'there is something on its way that is not a directory')
    }
  }
}

function mayBeLink(directory: Pathname): boolean {
  return directory === 'pg_wal' || /^pg_tblspc\/[0-9]+$/.test(directory)
}

function openWithoutLink(path: string | Buffer): OpenedFile {
  return requireRegularFile(openSync(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW))
}

function refuse(pathname: Pathname, reason: string): RefusedError {
  return new RefusedError('forbidden', `could not send file "${displayPathname(pathname)}": ${reason}`)
}
