import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import type { ContentRules } from '../content/decide-content-rules.js'
import { ReplayedWal } from '../content/replayed-wal.js'
import type { VerifyContext } from '../verify-context.js'
import { SharedRate } from '../../threads/shared-rate.js'
import { ThreadPool } from '../thread-pool.js'
import { type Archive, pathnamePrefix } from '../../source/tar/archive.js'
import { type ArchivePlace, isRemote } from '../../source/tar/archive-place.js'
import { type ArchiveMessage, ArchiveProgress, type StartArchives } from './archive-messages.js'
import type { ArchiveResults } from './archive-results.js'
import { type ByteChannel, sendBytes } from '../../source/tar/byte-channel.js'

const file = new URL('archive-worker.js', import.meta.url)

/** How often progress is told, in milliseconds. */
const INTERVAL_MS = 50

/** What is read, and by how many threads. */
export interface ReadArchivesOptions {
  /** Each is read by one thread, from its start to its end. */
  readonly archives: readonly Archive[]
  /** Among which they stand in the report. */
  readonly all: readonly Archive[]
  /** Those whose checksums are to be compared. */
  readonly algorithms: readonly RealChecksumAlgorithm[]
  /** What of the files' content is looked at. */
  readonly content: ContentRules | undefined
  /** Where those without a path come from. */
  readonly place: ArchivePlace | undefined
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
  const { archives, place, bytesTotal } = reading
  if (archives.length === 0) return
  const { jobs, options } = context
  const { onProgress, signal } = options
  const progress = new ArchiveProgress()
  const remote = new RemoteArchives(archives, place)
  const first = results.add(archives, reading.all)
  const threads = new ThreadPool<StartArchives, ArchiveMessage>({
    file,
    start: startOf(reading, context, progress),
    onMessage: (message) => {
      if (message.type === 'open') remote.send(message.task, message.channel)
      else results.accept({ ...message, task: first + message.task })
    },
    abandon: () => progress.claims.abandon(),
  })
  const tellProgress = (): void => {
    onProgress?.({ bytesDone: Math.min(progress.bytes, bytesTotal), bytesTotal })
  }
  const timer = setInterval(tellProgress, INTERVAL_MS)
  try {
    threads.growTo(Math.min(jobs, archives.length))
    tellProgress()
    await Promise.race([threads.finish(signal), remote.failure])
    onProgress?.({ bytesDone: bytesTotal, bytesTotal })
  } finally {
    clearInterval(timer)
    await threads.close()
    await remote.close()
  }
}

function startOf(
  { archives, algorithms, content }: ReadArchivesOptions,
  { manifest, options }: VerifyContext,
  progress: ArchiveProgress,
): StartArchives {
  const { table } = manifest
  const replayedWal = new ReplayedWal()
  replayedWal.tell(manifest.walRanges)
  return {
    tasks: archives.map(({ path, contents, compression }) => ({
      path,
      // The WAL may be in the archive of the data directory, or nowhere.
      mayBeAbsent: contents === 'pg_wal',
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
    rate: SharedRate.begin(options.maxRate)?.buffer,
  }
}

/** The archives of a run that are no files, and who sends them. */
class RemoteArchives {
  readonly #archives: readonly Archive[]
  readonly #place: ArchivePlace | undefined
  readonly #sendings: Promise<void>[] = []
  #fail: (error: unknown) => void = () => {}
  /** Rejects with what is wrong with the whole place; of a single archive, its thread is told. Else it never settles. */
  readonly failure: Promise<never>

  constructor(archives: readonly Archive[], place: ArchivePlace | undefined) {
    this.#archives = archives
    this.#place = place
    this.failure = new Promise((_resolve, reject) => {
      this.#fail = reject
    })
    this.failure.catch(() => {})
  }

  send(task: number, channel: ByteChannel): void {
    const archive = this.#archives[task]
    const place = this.#place
    if (archive === undefined || !isRemote(archive) || place === undefined) {
      throw new TypeError('an archive has neither a path nor a place')
    }
    const sending = sendBytes(channel, (signal) => place.open(archive, signal))
    this.#sendings.push(sending.catch((error: unknown) => this.#fail(error)))
  }

  /** Waits for the end of all, after that of the threads. */
  async close(): Promise<void> {
    await Promise.all(this.#sendings)
  }
}
