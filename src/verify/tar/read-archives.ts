import type { Readable } from 'node:stream'
import { isPbManifestError, PbManifestError } from '../../errors.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { ioError } from '../../files/system-error.js'
import type { ContentRules } from '../content/decide-content-rules.js'
import { ReplayedWal } from '../content/replayed-wal.js'
import type { VerifyContext } from '../verify-context.js'
import { SharedRate } from '../../threads/shared-rate.js'
import { ThreadPool } from '../thread-pool.js'
import { type Archive, pathnamePrefix } from './archive.js'
import type { ArchiveMessage, StartArchives } from './archive-messages.js'
import { ArchiveProgress } from './archive-progress.js'
import type { ArchiveResults } from './archive-results.js'
import { ByteSender } from './byte-channel.js'

const file = new URL('archive-worker.js', import.meta.url)

/** How often progress is told, in milliseconds. */
const INTERVAL_MS = 50

/** What is read, and by how many threads. */
export interface ReadArchivesOptions {
  /** Each is read by one thread, from its start to its end. */
  readonly archives: readonly Archive[]
  /** Those whose checksums are to be compared. */
  readonly algorithms: readonly RealChecksumAlgorithm[]
  /** What of the files' content is looked at. */
  readonly content: ContentRules | undefined
  /** Where the archive without a path comes from. */
  readonly stream: Readable | undefined
  /** What the archives' bytes will be; a guess in the case of a stream. */
  readonly bytesTotal: number
}

/**
 * Reads archives in threads, and passes on what they find.
 *
 * @throws {@link PbManifestError} `ABORTED`; `IO` when the stream fails or a thread dies; what `results` throws
 */
export async function readArchives(
  reading: ReadArchivesOptions,
  context: VerifyContext,
  results: ArchiveResults,
): Promise<void> {
  const { archives, stream, bytesTotal } = reading
  if (archives.length === 0) return
  const { jobs, options } = context
  const { onProgress, signal } = options
  const sender = stream && new ByteSender()
  const progress = new ArchiveProgress()
  const threads = new ThreadPool<StartArchives, ArchiveMessage>({
    file,
    start: startOf(reading, context, progress, sender),
    transferList: sender === undefined ? [] : [sender.channel.port],
    onMessage: (message) => results.accept(message),
    abandon: () => progress.claims.abandon(),
  })
  const tellProgress = (): void => {
    onProgress?.({ bytesDone: Math.min(progress.bytes, bytesTotal), bytesTotal })
  }
  const timer = setInterval(tellProgress, INTERVAL_MS)
  try {
    threads.growTo(Math.min(jobs, archives.length))
    tellProgress()
    const finished = threads.finish(signal)
    await (sender && stream ? Promise.race([finished, failureOf(sender.send(stream))]) : finished)
    onProgress?.({ bytesDone: bytesTotal, bytesTotal })
  } finally {
    clearInterval(timer)
    sender?.close()
    await threads.close()
  }
}

function startOf(
  { archives, algorithms, content }: ReadArchivesOptions,
  { manifest, options }: VerifyContext,
  progress: ArchiveProgress,
  sender: ByteSender | undefined,
): StartArchives {
  const { table } = manifest
  const replayedWal = new ReplayedWal()
  replayedWal.tell(manifest.walRanges)
  return {
    tasks: archives.map(({ path, contents, compression }) => ({
      path,
      prefix: pathnamePrefix(contents),
      compression,
    })),
    expected: {
      table: table.buffers,
      index: table.indexBuffers,
      rows: table.rows,
      ignore: options.ignore ?? [],
      algorithms,
      content: content && { rules: content, replayedWal: replayedWal.buffer },
    },
    progress: progress.buffers,
    channel: sender?.channel,
    rate: SharedRate.begin(options.maxRate)?.buffer,
  }
}

/** Settles only when the stream fails: its end is not yet the end of the work. */
function failureOf(sending: Promise<void>): Promise<never> {
  return new Promise((_resolve, reject) => {
    sending.catch((error: unknown) => reject(streamError(error)))
  })
}

/** Whatever a stream fails with: those of a network have errors of their own. */
function streamError(cause: unknown): unknown {
  const error = ioError('could not read the archive', cause)
  if (isPbManifestError(error)) return error
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PbManifestError('IO', `could not read the archive: ${reason}`, { cause })
}
