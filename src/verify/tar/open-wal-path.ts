import { statSync } from 'node:fs'
import { type Compression, detectCompression, MAGIC_BYTES } from '../../files/compression/compression.js'
import type { Yielder } from '../../files/yielder.js'
import { openRegularFile, readOpenedFile } from '../../files/open-regular-file.js'
import { decodePathname, type Pathname } from '../../files/pathname.js'
import { shortestName, type TarMember } from '../../files/tar/tar-member.js'
import type { VerifyContext } from '../verify-context.js'
import { listWalSegments, walDirectoriesOf } from '../wal/file-wal-source.js'
import type { OpenedWal } from '../wal/wal-source.js'
import type { Archive } from '../../source/tar/archive.js'
import { archiveProblem } from './archive-problem.js'
import { ArchiveWalSource } from './archive-wal-source.js'
import { peekChunks, readMembers } from '../../source/tar/read-members.js'
import { describeArchiveFailure } from './check-archive.js'
import { KeptMembers } from './kept-members.js'

const BUFFER_BYTES = 256 * 1024

/**
 * Opens a directory with WAL segments, or a tar archive, in which they are at the top or in `pg_wal`.
 *
 * @see src/bin/pg_waldump/archive_waldump.c of PostgreSQL 19
 */
export async function openWalPath(path: string, context: VerifyContext): Promise<OpenedWal> {
  const usePartial = context.options.partialWal === true
  if (!isWalArchive(path)) {
    return { source: listWalSegments(walDirectoriesOf(path), usePartial), close: async () => {} }
  }
  const { fault, ...opened } = await openWalArchive(path, usePartial, context.yielder)
  if (fault !== undefined) context.problems.add(archiveProblem(path, fault, context.manifest.table))
  return opened
}

/** Whether a place of WAL is an archive, and no directory. */
export function isWalArchive(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

/**
 * Opens a tar archive with WAL segments.
 *
 * @returns also why it cannot be read to its end, if so: then there may be more in it
 */
export async function openWalArchive(
  path: string,
  usePartial: boolean,
  yielder: Yielder,
): Promise<OpenedWal & { readonly fault: ReturnType<typeof describeArchiveFailure> }> {
  const { archive, kept, finding } = await listWal(path, yielder)
  const members = kept.summary.walMembers.map((member) => ({ ...member, archive }))
  const source = new ArchiveWalSource(
    { place: path, members, failure: undefined },
    { usePartial, yielder, place: undefined, signal: undefined },
  )
  return { source, close: () => source.close(), fault: finding }
}

/** Reads the archive once, to find what is in it. */
async function listWal(
  path: string,
  yielder: Yielder,
): Promise<{ archive: Archive; kept: KeptMembers; finding: ReturnType<typeof describeArchiveFailure> }> {
  const kept = new KeptMembers()
  let compression: Compression = 'none'
  let finding: ReturnType<typeof describeArchiveFailure>
  const handler = {
    expectedBytes: 0,
    member: (member: TarMember) => {
      handler.expectedBytes += member.size
      const pathname = walPathname(member.name)
      if (member.kind === 'file') kept.addFile(pathname, member)
      else if (member.kind === 'hard link') kept.addLink(pathname, walPathname(member.target))
    },
    bytes: () => {},
    fileEnd: () => {},
  }
  try {
    const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
    const { start, all } = peekChunks(readOpenedFile(openRegularFile(path), buffer), MAGIC_BYTES)
    compression = detectCompression(start)
    await readMembers(all, compression, handler, yielder)
  } catch (error) {
    finding = describeArchiveFailure(error)
    if (finding === undefined) throw error
  }
  return { archive: { name: path, path, contents: 'pg_wal', compression, size: 0 }, kept, finding }
}

function walPathname(bytes: Buffer): Pathname {
  const name = shortestName(decodePathname(bytes))
  return name.startsWith('pg_wal/') ? name : `pg_wal/${name}`
}
