import type { TransferListItem } from 'node:worker_threads'
import { DamagedArchiveError } from '../../files/damaged-archive-error.js'
import { NotARegularFileError, openRegularFile, readOpenedFile } from '../../files/open-regular-file.js'
import { describeSystemError } from '../../files/system-error.js'
import { ArchiveNotThereError } from '../../source/tar/archive-place.js'
import { SourceReadError } from '../../source/backup-source.js'
import { readMembers } from '../../source/tar/read-members.js'
import {
  type ArchiveFinding,
  type ArchiveMessage,
  ArchiveProgress,
  type ArchiveSummary,
  type ArchiveTask,
  type StartArchives,
} from './archive-messages.js'
import { MemberCheck, MemberCheckTools } from './member-check.js'
import { SharedRate } from '../../threads/shared-rate.js'
import { Abandoned } from '../../threads/claims.js'
import type { DoneMessage } from '../thread-pool.js'
import { type ByteChannel, receiveBytes } from '../../source/tar/byte-channel.js'

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

/** Large enough that calls cost little, small enough to stay in the processor's cache. */
const BUFFER_BYTES = 256 * 1024

type PostArchiveMessage = (message: ArchiveMessage | DoneMessage, transferList?: TransferListItem[]) => void

/**
 * Checks archives until none is left that no thread has taken, or nobody wants to know any more.
 *
 * @param post - is told of all that is wrong, of the end of each archive, and of the end
 */
export async function checkArchives(start: StartArchives, post: PostArchiveMessage): Promise<void> {
  try {
    await checkClaimed(start, post)
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error
  }
  post({ type: 'done' })
}

async function checkClaimed(
  { tasks, expected, progress: progressBuffers, rate: rateBuffer }: StartArchives,
  post: PostArchiveMessage,
): Promise<void> {
  const tools = await MemberCheckTools.load(expected)
  const rate = rateBuffer && new SharedRate(rateBuffer)
  const progress = new ArchiveProgress(progressBuffers, rate)
  const buffer = Buffer.allocUnsafeSlow(Math.min(BUFFER_BYTES, rate?.pieceBytes ?? BUFFER_BYTES))
  const open = ({ path }: ArchiveTask, task: number): Iterable<Buffer> => {
    if (path !== undefined) return progress.follow(readArchive(path, buffer))
    const request = (channel: ByteChannel): void => post({ type: 'open', task, channel }, [channel.port])
    return progress.follow(receiveBytes(request, progress.claims))
  }
  for (;;) {
    const index = progress.claims.claim()
    const task = tasks[index]
    if (task === undefined) return
    const onFinding = (finding: ArchiveFinding): void => post({ type: 'finding', task: index, finding })
    const summary = await checkArchive(task, open(task, index), tools, onFinding)
    post({ type: 'archive end', task: index, summary })
  }
}

/** Opens it when its first bytes are wanted, so that a failure is one of reading. */
function* readArchive(path: string, buffer: Buffer): Generator<Buffer, void, undefined> {
  yield* readOpenedFile(openRegularFile(path), buffer)
}
