import { posix } from 'node:path'
import { decodePathname, encodePathname, type Pathname } from '../../files/pathname.js'
import type { TarHandler, TarMember } from '../../files/tar/tar-reader.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { createFileHasher, type FileHasher } from '../../manifest/checksum/file-hasher.js'
import { BACKUP_LABEL, CONTROL_FILE } from '../../manifest/cluster-files.js'
import { FileFinder } from '../file-table/file-finder.js'
import { IgnoreRules } from '../ignore-rules.js'
import { MemberContent } from './member-content.js'
import type { ArchiveFinding, ArchiveSummary, ExpectedMembers, WalMember } from './archive-messages.js'

/** What the checks of the cluster read. */
const SMALL_FILES: ReadonlySet<Pathname> = new Set([
  'PG_VERSION',
  BACKUP_LABEL,
  CONTROL_FILE,
  'tablespace_map',
])
/** A longer one is not what it should be. */
const MAX_SMALL_FILE_BYTES = 1024 * 1024

/** What a thread needs for every archive that it reads. */
export class MemberCheckTools {
  readonly files: FileFinder
  readonly ignore: IgnoreRules
  readonly hashers: ReadonlyMap<RealChecksumAlgorithm, FileHasher>
  /** Of each row, whether the archive that is being read has it. */
  readonly isMet: Uint8Array
  /** `undefined` when nothing but checksums is looked at. */
  readonly content: MemberContent | undefined

  private constructor(
    { table, index, rows, ignore, content }: ExpectedMembers,
    hashers: ReadonlyMap<RealChecksumAlgorithm, FileHasher>,
  ) {
    this.files = new FileFinder(table, index)
    this.ignore = new IgnoreRules(ignore)
    this.hashers = hashers
    this.isMet = new Uint8Array(rows)
    this.content = content && new MemberContent(content)
  }

  static async load(expected: ExpectedMembers): Promise<MemberCheckTools> {
    const named = expected.algorithms.map(
      async (algorithm) => [algorithm, await createFileHasher(algorithm)] as const,
    )
    return new MemberCheckTools(expected, new Map(await Promise.all(named)))
  }
}

/** Compares the members of one archive with the manifest, as they come. */
export class MemberCheck implements TarHandler {
  /** Bytes of members that are as long as the manifest says. */
  expectedBytes = 0
  readonly #tools: MemberCheckTools
  readonly #prefix: string
  readonly #onFinding: (finding: ArchiveFinding) => void
  readonly #rows: number[] = []
  readonly #smallFiles = new Map<Pathname, Buffer>()
  readonly #walMembers: WalMember[] = []
  #filesChecked = 0
  #bytesChecked = 0
  /** Of the file that is being read: what computes its checksum, when that is to be compared. */
  #hasher: FileHasher | undefined
  #row = -1
  #smallFile: { readonly pathname: Pathname; readonly parts: Buffer[] } | undefined

  constructor(tools: MemberCheckTools, prefix: string, onFinding: (finding: ArchiveFinding) => void) {
    this.#tools = tools
    this.#prefix = prefix
    this.#onFinding = onFinding
    tools.isMet.fill(0)
    tools.content?.reset()
  }

  get summary(): ArchiveSummary {
    return {
      engines: [...this.#tools.hashers].map(([algorithm, { engine }]) => ({ algorithm, engine })),
      rows: Uint32Array.from(this.#rows),
      filesChecked: this.#filesChecked,
      bytesChecked: this.#bytesChecked,
      smallFiles: this.#smallFiles,
      walMembers: this.#walMembers,
      ...(this.#tools.content?.summary ?? { pages: 0, content: [], isContentCut: false }),
    }
  }

  member({ name: bytes, isFile, size, offset }: TarMember): void {
    this.#hasher = undefined
    this.#smallFile = undefined
    this.#tools.content?.skip()
    const name = decodePathname(bytes)
    const relative = posix.normalize(name)
    if (name === '' || isUnsafe(relative)) return this.#onFinding({ type: 'unsafe', name })
    if (!isFile) return
    const pathname = this.#prefix + relative
    const walName = /^pg_wal\/([0-9A-F]{24}(?:\.partial)?)$/.exec(pathname)?.[1]
    if (walName !== undefined) this.#walMembers.push({ name: walName, size, offset })
    if (!this.#tools.ignore.covers(pathname)) this.#file(name, pathname, size)
  }

  bytes(bytes: Buffer): void {
    this.#hasher?.update(bytes)
    this.#tools.content?.bytes(bytes)
    // The memory of the bytes is used again.
    this.#smallFile?.parts.push(Buffer.from(bytes))
  }

  fileEnd(): void {
    if (this.#smallFile !== undefined) {
      const { pathname, parts } = this.#smallFile
      this.#smallFiles.set(pathname, Buffer.concat(parts))
    }
    const { files, content } = this.#tools
    content?.end(this.#row)
    if (this.#hasher === undefined) return
    this.#filesChecked++
    this.#bytesChecked += files.size(this.#row)
    if (this.#hasher.digest() !== files.checksum(this.#row)) {
      this.#onFinding({ type: 'mismatch', row: this.#row })
    }
  }

  #file(name: Pathname, pathname: Pathname, size: number): void {
    if (SMALL_FILES.has(pathname) && size <= MAX_SMALL_FILE_BYTES) this.#smallFile = { pathname, parts: [] }
    const row = this.#tools.files.find(encodePathname(pathname))
    if (row === -1) return this.#onFinding({ type: 'extra', name, pathname })
    this.#listedFile(name, pathname, row, size)
  }

  #listedFile(name: Pathname, pathname: Pathname, row: number, size: number): void {
    const { files, hashers, isMet, content } = this.#tools
    if (isMet[row] === 1) this.#onFinding({ type: 'duplicate', row })
    else this.#rows.push(row)
    isMet[row] = 1
    if (size !== files.size(row)) return this.#onFinding({ type: 'size', name, row, size })
    this.expectedBytes += size
    this.#row = row
    content?.begin(pathname, size)
    const algorithm = files.algorithm(row)
    this.#hasher = algorithm && hashers.get(algorithm)
    this.#hasher?.reset()
  }
}

/** @see src/port/path.c, path_is_safe_for_extraction */
function isUnsafe(normalized: Pathname): boolean {
  return normalized.startsWith('/') || normalized === '..' || normalized.startsWith('../')
}
