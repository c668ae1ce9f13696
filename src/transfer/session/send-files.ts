import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import { incrementalPathname } from '../../postgres/data-page/page-files.js'
import { formatIncrementalHeader, incrementalFileBytes } from '../../postgres/incremental-file.js'
import type { IncrementalContentPlan } from '../../postgres/wal-summary/incremental-plan.js'
import type { ClusterFiles, FileEvent, RequestedFile } from '../cluster-files/cluster-files.js'
import type { SentFileEvent } from '../commands/replication-command.js'
import { throwIfBackupAborted } from './backup.js'
import type { FragmentRecorder } from './fragment-recorder.js'
import { findWholeFile, planRequestedChanges } from './incremental/incremental-files.js'
import type { Membership } from './membership.js'
import type { PageVerification } from './page-verification.js'
import { refused } from '../commands/refused-error.js'

/** What SEND_FILE sends with. */
export interface SendOptions {
  readonly source: ClusterFiles
  readonly membership: Membership
  /** `undefined`: pages are not verified. */
  readonly pages: PageVerification | undefined
  /** Whether the size of a file is said before its bytes. */
  readonly sizes: boolean
  readonly signal: AbortSignal
}

/**
 * Streams files: each is verified, taken from the bucket, hashed and counted piece by piece, then recorded.
 *
 * @throws {@link PbManifestError} when it is refused or fails
 */
export async function* sendFiles(
  files: readonly RequestedFile[],
  options: SendOptions,
): AsyncGenerator<SentFileEvent, void, undefined> {
  const { state } = options.membership.backup
  throwIfBackupAborted(options.membership.backup)
  // WAL is fetched when the backup has been stopped; anything else would come too late to be repaired by it.
  const isWalOnly = files.every(({ pathname }) => isWal(pathname))
  if (!isWalOnly && !state.beginSending()) {
    throw refused(`the backup has been stopped: only files in "pg_wal" can be sent`)
  }
  try {
    yield* streamFiles(files, options)
  } finally {
    if (!isWalOnly) state.endSending()
  }
}

function isWal(pathname: Pathname): boolean {
  return pathname.startsWith('pg_wal/')
}

async function* streamFiles(
  files: readonly RequestedFile[],
  options: SendOptions,
): AsyncGenerator<SentFileEvent, void, undefined> {
  let file: FileInTransit | undefined
  for (const { events, nameOf, planOf } of openFiles(files, options)) {
    for await (const event of events) {
      switch (event.type) {
        case 'file':
          file = new FileInTransit(event, planOf(event), options)
          yield {
            type: 'file',
            pathname: nameOf(event.pathname),
            ...(options.sizes && { announced: file.announced }),
          }
          yield* file.begin()
          break
        case 'bytes':
          if (file !== undefined) yield* file.pass(event.bytes)
          break
        case 'end':
          if (file !== undefined) yield* file.end()
          file = undefined
          break
        case 'vanished':
          yield { type: 'vanished', pathname: nameOf(event.pathname) }
          break
        default:
          event satisfies never
      }
    }
  }
}

type FileBegin = Extract<FileEvent, { type: 'file' }>

/** Files next to each other that are read in the same way. */
interface OpenedFiles {
  readonly events: AsyncIterable<FileEvent>
  /** What the backup calls the file that has this pathname in the cluster. */
  readonly nameOf: (pathname: Pathname) => Pathname
  /** Which of its pages are read; `undefined`: all. */
  readonly planOf: (file: FileBegin) => IncrementalContentPlan | undefined
}

/** Files are read whole, or, where an incremental file was asked for, as the changes of another. */
function* openFiles(
  files: readonly RequestedFile[],
  { source, membership, signal }: SendOptions,
): Generator<OpenedFiles, void, undefined> {
  const { plan } = membership.backup
  for (let from = 0; from < files.length;) {
    const isIncremental = (place: number): boolean => {
      const file = files[place]
      return plan !== undefined && file !== undefined && findWholeFile(file.pathname) !== undefined
    }
    let to = from + 1
    while (to < files.length && isIncremental(to) === isIncremental(from)) to++
    const group = files.slice(from, to)
    if (plan === undefined || !isIncremental(from)) {
      yield { events: source.read(group, signal), nameOf: (pathname) => pathname, planOf: () => undefined }
    } else {
      const requests = group.map((file) => {
        const pathname = findWholeFile(file.pathname) ?? file.pathname
        return { pathname, choose: (size: number) => planRequestedChanges(plan, pathname, size).blocks }
      })
      yield {
        events: source.readBlocks(requests, signal),
        nameOf: incrementalPathname,
        planOf: ({ pathname, size }) => planRequestedChanges(plan, pathname, size),
      }
    }
    from = to
  }
}

/** One file on its way. */
class FileInTransit {
  /** As the backup has it. */
  readonly #file: Pick<FileBegin, 'pathname' | 'size' | 'modified'>
  readonly #plan: IncrementalContentPlan | undefined
  readonly #options: SendOptions
  readonly #recorder: FragmentRecorder | undefined
  readonly #pages: PageVerification | undefined
  #sent = 0
  #throttledNs = 0n

  /**
   * @param file - as the cluster has it
   * @param plan - which of its pages come; `undefined`: all
   */
  constructor(file: FileBegin, plan: IncrementalContentPlan | undefined, options: SendOptions) {
    const { pathname, modified } = file
    this.#file =
      plan === undefined
        ? file
        : {
            pathname: incrementalPathname(pathname),
            size: incrementalFileBytes(plan.blocks.length),
            modified,
          }
    this.#plan = plan
    this.#options = options
    this.#recorder = isWal(pathname) ? undefined : options.membership.recorder
    this.#recorder?.beginFile()
    this.#pages = options.pages?.begin(pathname, plan?.blocks) === true ? options.pages : undefined
  }

  get announced(): { readonly size: number; readonly modified: number } {
    const { size, modified } = this.#file
    return { size, modified }
  }

  /** What stands before the pages. */
  async *begin(): AsyncGenerator<SentFileEvent, void, undefined> {
    if (this.#plan === undefined) return
    const { blocks, truncationBlockLength } = this.#plan
    yield* this.#send(formatIncrementalHeader(blocks, truncationBlockLength))
  }

  async *pass(bytes: Buffer): AsyncGenerator<SentFileEvent, void, undefined> {
    const pages = this.#pages
    if (pages === undefined) {
      yield* this.#send(bytes)
      return
    }
    for (let at = 0; at < bytes.length;) {
      at += pages.fill(bytes.subarray(at))
      if (pages.isFull) yield* this.#send(await pages.drain())
    }
  }

  async *end(): AsyncGenerator<SentFileEvent, void, undefined> {
    if (this.#pages !== undefined) yield* this.#send(await this.#pages.finish())
    const { pathname, size, modified } = this.#file
    if (this.#sent !== size) {
      throw new PbManifestError(
        'IO',
        `file "${displayPathname(pathname)}" was announced with ${size} bytes, but ${this.#sent} came`,
      )
    }
    const checksum = await this.#recorder?.endFile({ pathname, size, modified })
    yield { type: 'end', size, modified, checksum, throttledMs: Number(this.#throttledNs / 1_000_000n) }
  }

  async *#send(bytes: Buffer): AsyncGenerator<SentFileEvent, void, undefined> {
    const { membership, signal } = this.#options
    const { state, bucket } = membership.backup
    const pieceBytes = bucket?.pieceBytes ?? bytes.length
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes)
      if (bucket !== undefined) this.#throttledNs += await bucket.take(piece.length, signal)
      throwIfBackupAborted(membership.backup)
      this.#recorder?.update(piece)
      this.#sent += piece.length
      state.addStreamed(piece.length)
      yield { type: 'bytes', bytes: piece }
    }
  }
}
