import { posix } from 'node:path'
import { decodePathname, displayPathname, encodePathname, type Pathname } from '../../files/pathname.js'
import { shortestName, type TarHandler, type TarMember } from '../../files/tar/tar-member.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { createFileHasher } from '../../manifest/checksum/create-file-hasher.js'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import { FileFinder } from '../file-table/pathname-index.js'
import { IgnoreRules } from '../ignore-rules.js'
import { MemberContent } from './member-content.js'
import type { ArchiveFinding, ArchiveSummary, ExpectedMembers } from './archive-messages.js'
import { KeptMembers } from './kept-members.js'
import { SeenMembers } from './seen-members.js'

/** What a thread needs for every archive that it reads. */
export class MemberCheckTools {
  readonly files: FileFinder
  readonly ignore: IgnoreRules
  readonly hashers: ReadonlyMap<RealChecksumAlgorithm, FileHasher>
  /** Of the archive that is being read. */
  readonly seen: SeenMembers
  /** `undefined` when nothing but checksums is looked at. */
  readonly content: MemberContent | undefined

  private constructor(
    { table, index, rows, ignore, content }: ExpectedMembers,
    hashers: ReadonlyMap<RealChecksumAlgorithm, FileHasher>,
  ) {
    this.files = new FileFinder(table, index)
    this.ignore = new IgnoreRules(ignore)
    this.hashers = hashers
    this.seen = new SeenMembers(this.files, rows)
    this.content = content && new MemberContent(content)
  }

  static async load(expected: ExpectedMembers): Promise<MemberCheckTools> {
    const named = expected.algorithms.map(
      async (algorithm) => [algorithm, await createFileHasher(algorithm, 'unknown')] as const,
    )
    return new MemberCheckTools(expected, new Map(await Promise.all(named)))
  }

  /** With somebody else's checksums in place of computed ones. */
  static withHasher(expected: ExpectedMembers, hasher: FileHasher): MemberCheckTools {
    return new MemberCheckTools(expected, new Map(expected.algorithms.map((name) => [name, hasher])))
  }
}

/** A member by its names. */
interface Named {
  /** As the archive has it. */
  readonly name: Pathname
  /** In the archive, in its shortest form. */
  readonly relative: Pathname
  /** In the backup. */
  readonly pathname: Pathname
}

/** A file that is being read. */
interface OpenFile extends Named {
  readonly size: number
  /** -1 when its checksum is not that of a file of the manifest. */
  readonly row: number
  readonly hashers: ReadonlyMap<RealChecksumAlgorithm, FileHasher>
  /** Its bytes, when they are kept. */
  readonly parts: Buffer[] | undefined
}

const NO_HASHERS: OpenFile['hashers'] = new Map()

/** Compares the members of one archive with the manifest, as they come. */
export class MemberCheck implements TarHandler {
  /** Bytes of members that are as long as the manifest says. */
  expectedBytes = 0
  readonly #tools: MemberCheckTools
  readonly #prefix: string
  readonly #onFinding: (finding: ArchiveFinding) => void
  readonly #rows: number[] = []
  readonly #kept = new KeptMembers()
  readonly #tablespaces = new TablespaceLinks()
  #filesChecked = 0
  #bytesChecked = 0
  #file: OpenFile | undefined

  constructor(tools: MemberCheckTools, prefix: string, onFinding: (finding: ArchiveFinding) => void) {
    this.#tools = tools
    this.#prefix = prefix
    this.#onFinding = onFinding
    tools.seen.clear()
    tools.content?.reset()
  }

  get summary(): ArchiveSummary {
    return {
      engines: [...this.#tools.hashers].map(([algorithm, { engine }]) => ({ algorithm, engine })),
      rows: Uint32Array.from(this.#rows),
      filesChecked: this.#filesChecked,
      bytesChecked: this.#bytesChecked,
      ...this.#kept.summary,
      ...(this.#tools.content?.summary ?? { pages: 0, content: [], isContentCut: false }),
    }
  }

  member(member: TarMember): void {
    this.#file = undefined
    this.#tools.content?.skip()
    const name = decodePathname(member.name)
    const relative = shortestName(name)
    if (name === '' || isOutside(relative)) return this.#onFinding({ type: 'unsafe', name })
    const named = { name, relative, pathname: this.#prefix + relative }
    const { kind } = member
    switch (kind) {
      case 'file':
        return this.#beginFile(named, member)
      case 'hard link':
        return this.#hardLink(named, decodePathname(member.target))
      case 'symbolic link':
        return this.#symbolicLink(named, decodePathname(member.target))
      case 'directory':
        return this.#directory(named)
      default:
        return this.#notAFile(named, `it is a ${kind}`)
    }
  }

  bytes(bytes: Buffer): void {
    const file = this.#file
    if (file === undefined) return
    for (const hasher of file.hashers.values()) hasher.update(bytes)
    this.#tools.content?.bytes(bytes)
    // The memory of the bytes is used again.
    file.parts?.push(Buffer.from(bytes))
  }

  fileEnd(): void {
    const file = this.#file
    if (file === undefined) return
    const { pathname, row, size, hashers, parts } = file
    const { seen, content } = this.#tools
    if (parts !== undefined) this.#kept.smallFiles.set(pathname, Buffer.concat(parts))
    content?.end(row)
    const digests = new Map([...hashers].map(([algorithm, hasher]) => [algorithm, hasher.digest()]))
    const known = { size, checksum: (algorithm: RealChecksumAlgorithm) => digests.get(algorithm) }
    if (row === -1 || !this.#compareChecksum(row, known.checksum, size)) seen.addOther(pathname, known)
    else seen.addGood(row)
  }

  #beginFile(named: Named, member: TarMember): void {
    const { pathname } = named
    const { size } = member
    const { files, ignore, hashers, content } = this.#tools
    this.#kept.addFile(pathname, member)
    if (this.#prefix === '') this.#checkTablespace(named, undefined)
    const parts = this.#kept.keepsBytes(pathname, size) ? [] : undefined
    const row = ignore.covers(pathname) ? undefined : files.find(encodePathname(pathname))
    if (row === -1) this.#onFinding({ type: 'extra', ...named, kind: 'file', size })
    if (row !== undefined && row !== -1 && this.#takeRow(named, row, size)) {
      this.expectedBytes += size
      content?.begin(pathname, size)
      const algorithm = files.algorithm(row)
      const hasher = algorithm && hashers.get(algorithm)
      const ofRow =
        algorithm === undefined || hasher === undefined ? NO_HASHERS : new Map([[algorithm, hasher]])
      this.#file = { ...named, size, row, hashers: ofRow, parts }
    } else {
      // A link may give it another name, whose entry it fits. WAL is much, and has no other names.
      const isHashed = !pathname.startsWith('pg_wal/')
      this.#file = { ...named, size, row: -1, hashers: isHashed ? hashers : NO_HASHERS, parts }
    }
    for (const hasher of this.#file?.hashers.values() ?? []) hasher.reset()
  }

  /** Takes note of a member for this row; false when it has the wrong size. */
  #takeRow({ name }: Named, row: number, size: number): boolean {
    if (this.#tools.seen.meet(row)) this.#onFinding({ type: 'duplicate', row })
    else this.#rows.push(row)
    if (size === this.#tools.files.size(row)) return true
    this.#onFinding({ type: 'size', name, row, size })
    return false
  }

  /** Whether a file has its row's checksum, if that is to be compared. */
  #compareChecksum(
    row: number,
    checksumOf: (algorithm: RealChecksumAlgorithm) => string | undefined,
    bytesRead: number,
  ): boolean {
    const { files, hashers } = this.#tools
    const algorithm = files.algorithm(row)
    if (algorithm === undefined || !hashers.has(algorithm)) return true
    this.#filesChecked++
    this.#bytesChecked += bytesRead
    const checksum = checksumOf(algorithm) ?? ''
    const isRight = checksum === files.checksum(row)
    if (!isRight) this.#onFinding({ type: 'mismatch', row, checksum })
    return isRight
  }

  /** Another name of a file that has passed. */
  #hardLink(named: Named, target: Pathname): void {
    const { files, ignore, hashers, seen } = this.#tools
    const { pathname, name } = named
    const relative = shortestName(target)
    this.#kept.addLink(pathname, this.#prefix + relative)
    if (ignore.covers(pathname)) return
    if (isOutside(relative)) return this.#leadsOutside(named, 'hard link', target)
    const content = seen.find(this.#prefix + relative)
    const row = files.find(encodePathname(pathname))
    const shown = displayPathname(target)
    if (content === undefined) {
      return this.#notAFile(
        named,
        `it is a hard link to "${shown}", and no file of that name was read before it`,
      )
    }
    if (row === -1) {
      seen.addOther(pathname, content)
      return this.#onFinding({ type: 'extra', name, pathname, kind: 'file', size: content.size })
    }
    if (!this.#takeRow(named, row, content.size)) return
    const algorithm = files.algorithm(row)
    if (algorithm !== undefined && hashers.has(algorithm) && content.checksum(algorithm) === undefined) {
      return this.#notAFile(
        named,
        `it is a hard link to "${shown}", whose ${algorithm} checksum is not known`,
      )
    }
    if (this.#compareChecksum(row, content.checksum, 0)) seen.addGood(row)
    else seen.addOther(pathname, content)
  }

  #symbolicLink(named: Named, target: Pathname): void {
    const { relative, pathname, name } = named
    if (this.#prefix === '' && /^pg_tblspc\/[0-9]+$/.test(relative))
      return this.#checkTablespace(named, target)
    if (this.#tools.ignore.covers(pathname)) return
    if (this.#rowOf(pathname) !== -1) {
      return this.#notAFile(named, `it is a symbolic link to "${displayPathname(target)}"`)
    }
    const leadsTo = target.startsWith('/') ? target : shortestName(`${posix.dirname(relative)}/${target}`)
    if (isOutside(leadsTo)) return this.#leadsOutside(named, 'symbolic link', target)
    this.#onFinding({ type: 'extra', name, pathname, kind: 'symbolic link' })
  }

  #directory(named: Named): void {
    this.#kept.addDirectory(named.pathname)
    if (this.#rowOf(named.pathname) !== -1) this.#notAFile(named, 'it is a directory')
  }

  #notAFile(named: Named, detail: string): void {
    const { relative: name, pathname } = named
    if (this.#tools.ignore.covers(pathname)) return
    const row = this.#rowOf(pathname)
    // That it is missing as well would be a second problem with one cause.
    if (row !== -1 && !this.#tools.seen.meet(row)) this.#rows.push(row)
    this.#onFinding({ type: 'not a file', name, pathname, isListed: row !== -1, detail })
  }

  #leadsOutside({ name }: Named, kind: 'symbolic link' | 'hard link', target: Pathname): void {
    this.#onFinding({ type: 'leads outside', name, kind, target })
  }

  /** A link in `pg_tblspc` leads out of the backup by its nature. What is unpacked below it would go there. */
  #checkTablespace(named: Named, target: Pathname | undefined): void {
    const link = this.#tablespaces.add(named.relative, target)
    if (link !== undefined) this.#onFinding({ type: 'leads outside', kind: 'symbolic link', ...link })
  }

  #rowOf(pathname: Pathname): number {
    return this.#tools.ignore.covers(pathname) ? -1 : this.#tools.files.find(encodePathname(pathname))
  }
}

/** The links in `pg_tblspc` of one archive, and whether it has files below them. */
class TablespaceLinks {
  readonly #targets = new Map<string, Pathname>()
  readonly #withFiles = new Set<string>()

  /**
   * Takes note of a link, or of a file.
   *
   * @param target - `undefined` of a file
   * @returns a link that has files below it, once
   */
  add(relative: Pathname, target: Pathname | undefined): { name: Pathname; target: Pathname } | undefined {
    const name = /^pg_tblspc\/[0-9]+/.exec(relative)?.[0]
    if (name === undefined) return undefined
    if (target === undefined) this.#withFiles.add(name)
    else this.#targets.set(name, target)
    const leadsTo = this.#targets.get(name)
    if (leadsTo === undefined || !this.#withFiles.has(name)) return undefined
    this.#targets.delete(name)
    return { name, target: leadsTo }
  }
}

/** @see src/port/path.c, path_is_safe_for_extraction */
function isOutside(normalized: Pathname): boolean {
  return normalized.startsWith('/') || normalized === '..' || normalized.startsWith('../')
}
