import type { Pathname } from '../../files/pathname.js'
import type { TarMember } from '../../files/tar/tar-member.js'
import { keepsContent } from '../../manifest/contents/written-archives.js'
import { everNeededDirectories } from '../../postgres/data-directory.js'
import type { ArchiveSummary, WalMember } from './archive-messages.js'

const NEEDED_DIRECTORIES = new Set(everNeededDirectories)
const IN_TABLESPACE = /^pg_tblspc\/[0-9]+\/PG_[0-9]+_[0-9]+$/
/** An archive has one of a tablespace; one that was made to have more has no use of them. */
const MAX_DIRECTORIES = 1000

/**
 * What is kept of an archive's members for the steps that follow: bytes of small files, where the WAL is, and which of the
 * directories that a server may need are there.
 */
export class KeptMembers {
  readonly smallFiles: Map<Pathname, Buffer> = new Map()
  readonly #wal = new Map<string, WalMember>()
  readonly #directories = new Set<Pathname>()
  #lastDirectory = ''

  get summary(): Pick<ArchiveSummary, 'smallFiles' | 'walMembers' | 'directories'> {
    return {
      smallFiles: this.smallFiles,
      walMembers: [...this.#wal.values()],
      directories: [...this.#directories],
    }
  }

  /** Whether the bytes of this file are to be kept. */
  keepsBytes(pathname: Pathname, size: number): boolean {
    return keepsContent(pathname, size)
  }

  /** Takes note of a file, which may be WAL. */
  addFile(pathname: Pathname, { size, offset, stretches }: TarMember): void {
    const name = walNameOf(pathname)
    if (name !== undefined) this.#addWal({ name, size, offset, stretches })
    this.addDirectory(pathname.slice(0, Math.max(pathname.lastIndexOf('/'), 0)))
  }

  /** Takes note of a directory, and of those above it, which come into being with it. */
  addDirectory(pathname: Pathname): void {
    if (pathname === this.#lastDirectory) return
    this.#lastDirectory = pathname
    for (let end = pathname.length; end > 0; end = pathname.lastIndexOf('/', end - 1)) {
      const directory = pathname.slice(0, end)
      const isOfUse = NEEDED_DIRECTORIES.has(directory) || IN_TABLESPACE.test(directory)
      if (isOfUse && this.#directories.size < MAX_DIRECTORIES) this.#directories.add(directory)
    }
  }

  /** Takes note of another name of a file that has passed. */
  addLink(pathname: Pathname, target: Pathname): void {
    const bytes = this.smallFiles.get(target)
    if (bytes !== undefined && this.keepsBytes(pathname, bytes.length)) this.smallFiles.set(pathname, bytes)
    const name = walNameOf(pathname)
    const member = this.#wal.get(walNameOf(target) ?? '')
    if (name !== undefined && member !== undefined) this.#addWal({ ...member, name })
  }

  /** A later member replaces an earlier one of its name. */
  #addWal(member: WalMember): void {
    this.#wal.delete(member.name)
    this.#wal.set(member.name, member)
  }
}

function walNameOf(pathname: Pathname): string | undefined {
  return /^pg_wal\/([0-9A-F]{24}(?:\.partial)?)$/.exec(pathname)?.[1]
}
