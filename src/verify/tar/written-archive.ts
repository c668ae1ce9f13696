import { encodePathname, type Pathname } from '../../files/pathname.js'
import type { TarMember } from '../../files/tar/tar-member.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import { keepsContent, type WrittenArchives } from '../../manifest/contents/written-archives.js'
import { type Archive, archivePrefixOf, pathnamePrefix } from '../../source/tar/archive.js'
import type { KnownChecksums } from '../options.js'
import type { VerifyContext } from '../verify-context.js'
import type { ArchiveSummary } from './archive-messages.js'
import { MemberCheck, MemberCheckTools } from './member-check.js'

/** What whoever wrote the archives says of them. */
export interface Writing {
  readonly archives: WrittenArchives
  readonly checksums: KnownChecksums
}

/**
 * Compares what an archive was given with the manifest, without reading it.
 *
 * @returns what would have been found in it; `undefined` when it has to be read: it has another length now, or was given anything
 * that is not what the manifest has, or of which that is not known
 */
export async function checkWrittenArchive(
  { name, size, contents }: Archive,
  { archives, checksums }: Writing,
  { manifest, options, yielder }: VerifyContext,
  algorithms: readonly RealChecksumAlgorithm[],
): Promise<ArchiveSummary | undefined> {
  if (archives.sizes.get(name) !== size) return undefined
  const prefix = pathnamePrefix(contents)
  const { table } = manifest
  const known = new KnownChecksum()
  const tools = MemberCheckTools.withHasher(
    {
      table: table.buffers,
      index: table.indexBuffers,
      rows: table.rows,
      ignore: options.ignore ?? [],
      algorithms,
      content: undefined,
    },
    known,
  )
  let isRight = true
  const check = new MemberCheck(tools, prefix, () => {
    isRight = false
  })
  for (const pathname of archives.directories) {
    const isOwn = archivePrefixOf(pathname) === prefix && !IN_MAP.test(pathname)
    if (isOwn) check.member(memberOf(pathname.slice(prefix.length), 'directory', 0))
  }
  for (const { pathname, size: bytes, content } of archives.files) {
    if (yielder.isDue) await yielder.yield()
    if (archivePrefixOf(pathname) !== prefix) continue
    if (content === undefined && keepsContent(pathname, bytes)) return undefined
    known.checksum = checksums.get(pathname) ?? ''
    check.member(memberOf(pathname.slice(prefix.length), 'file', bytes))
    if (content !== undefined) check.bytes(Buffer.from(content))
    check.fileEnd()
    if (!isRight) return undefined
  }
  // Nothing was computed here.
  return isRight ? { ...check.summary, engines: [] } : undefined
}

/** Links of tablespaces have no members: tablespace_map tells of them. */
const IN_MAP = /^pg_tblspc\/[^/]+$/

function memberOf(name: Pathname, kind: 'file' | 'directory', size: number): TarMember {
  const target = Buffer.alloc(0)
  return { name: encodePathname(name), kind, target, size, modified: 0, offset: 0, stretches: undefined }
}

/** Recalls what was computed when the bytes were written. */
class KnownChecksum implements FileHasher {
  readonly engine = 'none'
  checksum = ''

  reset(): void {}

  update(): void {}

  digest(): string {
    return this.checksum
  }

  findOther(bytes: Uint8Array, start: number): string | undefined {
    const checksum = Buffer.from(this.checksum, 'hex')
    const isSame = checksum.length > 0 && checksum.compare(bytes, start, start + checksum.length) === 0
    return isSame ? undefined : this.checksum
  }
}
