import { DamagedArchiveError } from '../../files/damaged-archive-error.js'
import { NotARegularFileError } from '../../files/open-regular-file.js'
import { describeSystemError } from '../../files/system-error.js'
import { ArchiveNotThereError } from '../../source/tar/archive-place.js'
import { SourceReadError } from '../../source/backup-source.js'
import { readMembers } from '../../source/tar/read-members.js'
import type { ArchiveFinding, ArchiveSummary, ArchiveTask } from './archive-messages.js'
import { MemberCheck, type MemberCheckTools } from './member-check.js'

type CheckedArchive = Pick<ArchiveTask, 'prefix' | 'compression'> & Partial<Pick<ArchiveTask, 'mayBeAbsent'>>

/**
 * Reads an archive to its end, or as far as it can be read, and compares its members with the manifest.
 *
 * @param chunks - the archive, as it is stored
 */
export async function checkArchive(
  { prefix, compression, mayBeAbsent = false }: CheckedArchive,
  chunks: Iterable<Buffer>,
  tools: MemberCheckTools,
  onFinding: (finding: ArchiveFinding) => void,
): Promise<ArchiveSummary> {
  const check = new MemberCheck(tools, prefix, onFinding)
  try {
    await readMembers(chunks, compression, check)
  } catch (error) {
    const finding = describeArchiveFailure(error)
    if (finding === undefined) throw error
    const isAbsent = mayBeAbsent && error instanceof ArchiveNotThereError
    onFinding(isAbsent ? { type: 'not there', message: error.message } : finding)
  }
  return check.summary
}

type ArchiveFailure = ArchiveFinding & { readonly type: 'damaged' | 'unreadable' | 'not fetched' }

/** What a failure of reading an archive says of it; `undefined` when it is none. */
export function describeArchiveFailure(error: unknown): ArchiveFailure | undefined {
  if (error instanceof DamagedArchiveError) {
    return { type: 'damaged', message: error.message, detail: error.detail }
  }
  if (error instanceof SourceReadError) {
    return { type: 'not fetched', message: error.message, detail: error.detail }
  }
  if (error instanceof NotARegularFileError) return { type: 'unreadable', message: 'Not a regular file' }
  const description = describeSystemError(error)
  return description && { type: 'unreadable', ...description }
}
