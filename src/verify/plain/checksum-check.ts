import { setTimeout } from 'node:timers/promises'
import { PbManifestError } from '../../errors.js'
import type { WalRange } from '../../manifest/model.js'
import { absentFile, problemOf } from './check-file.js'
import {
  BUFFER_BYTES,
  checksumThread,
  type ChecksumThread,
  type FileFinding,
  type FileStates,
  fileStates,
  isIntact,
  type StartChecking,
  type StoredObjects,
  type WorkerMessage,
} from './checksum-messages.js'
import { hasContent } from '../content/content-check.js'
import { layoutProblems } from '../content/content-problems.js'
import type { ContentRules } from '../content/decide-content-rules.js'
import { PagesInQuestion } from '../content/pages-in-question.js'
import { ReplayedWal } from '../content/replayed-wal.js'
import type { FileTable } from '../file-table/file-table.js'
import { maxRowsOf } from '../file-table/file-rows.js'
import { SharedRate } from '../../threads/shared-rate.js'
import { type BackupEvidence, UnreadFiles } from './evidence.js'
import type { VerifyProgress } from '../options.js'
import type { ProblemList } from '../problems.js'
import type { Problem, VerifyReport } from '../report.js'
import type { ScanResult } from './scan-directory.js'
import type { PlaceOfRow } from './share-of-scan.js'
import { type EngineUse, nameEngines } from '../make-report.js'
import { type DoneMessage, ThreadPool } from '../thread-pool.js'
import { StorageWatch, ThreadDemand, threadsWhereWaiting } from './storage-watch.js'
import { largestFirst, outcomeCodes, WorkQueue } from './work-queue.js'

/** How often what the threads found is passed on, in milliseconds. */
const INTERVAL_MS = 50

/** What to read, and how. */
export interface ChecksumOptions {
  readonly directory: string
  /** Most threads. */
  readonly jobs: number
  /** What is read in a second, in kB; `undefined`: no limit. */
  readonly maxRate: number | undefined
  /** Most threads where storage answers late. */
  readonly waitingJobs: number
  /** What of the files' content is looked at, besides their checksum. */
  readonly content: ContentRules | undefined
  readonly signal: AbortSignal | undefined
  readonly onProgress: ((progress: VerifyProgress) => void) | undefined
  /** `undefined` when nobody keeps any. */
  readonly evidence: BackupEvidence | undefined
  /** `undefined`: the files are in the directory. */
  readonly objects?: StoredObjects | undefined
  /** Of rows that are good by the checksum that a store keeps. */
  readonly onGoodByStore?: (row: number) => void
  readonly onRetry?: ((words: string) => void) | undefined
  /** What the threads run. Default: what reads files. */
  readonly thread?: URL
  /** Becomes the first thread. */
  readonly prestarted?: ChecksumThread | undefined
}

/**
 * The reading of files, beside everything else: threads begin with the first files that the manifest names.
 *
 * What they find is told in the order of the queue, which does not depend on who was faster.
 */
export class ChecksumCheck {
  /** Files whose checksum was compared, their bytes, and pages; as far as the findings were told. */
  readonly totals = { filesChecked: 0, bytesChecked: 0, pagesChecked: 0 }
  readonly sample: UnreadFiles = new UnreadFiles()
  /** Those that were found by now. */
  readonly pages: PagesInQuestion = new PagesInQuestion()
  /** What the scan says of each row, as it goes on: threads look there. */
  readonly states: FileStates
  readonly #options: ChecksumOptions
  readonly #readAt: Float64Array | undefined
  readonly #table: FileTable
  readonly #queue: WorkQueue
  readonly #replayedWal = new ReplayedWal()
  readonly #threads: ThreadPool<StartChecking, Exclude<WorkerMessage, DoneMessage>>
  /** What threads have found and was not told yet, by the place of the queue. */
  readonly #findings = new Map<number, FileFinding>()
  readonly #engines: EngineUse[] = []
  readonly #storage = new StorageWatch()
  #bytesTotal = 0
  readonly #demand = new ThreadDemand()
  #told = 0

  /**
   * Starts the first thread; `close` ends all.
   *
   * @throws {@link PbManifestError} `IO` when the system does not grant it
   */
  constructor(options: ChecksumOptions, table: FileTable, manifestBytes: number) {
    this.#options = options
    this.#readAt = options.evidence?.table.readAt
    this.#table = table
    this.#queue = WorkQueue.allocate(maxRowsOf(manifestBytes))
    const states = new SharedArrayBuffer(maxRowsOf(manifestBytes))
    this.states = new Uint8Array(states)
    const start = {
      directory: options.directory,
      table: table.buffers,
      queue: this.#queue.buffers,
      states,
      content: options.content,
      replayedWal: this.#replayedWal.buffer,
      rate: SharedRate.begin(options.maxRate)?.buffer,
      evidence: options.evidence && {
        buffers: options.evidence.table.buffers,
        checks: options.evidence.rules.checks,
      },
      objects: options.objects,
    }
    this.#threads = new ThreadPool({
      file: options.thread ?? checksumThread,
      prestarted: options.prestarted,
      start,
      onMessage: (message) => {
        if (message.type === 'engine') this.#engines.push(message.use)
        else if (message.type === 'finding') this.#findings.set(message.place, message.finding)
        else if (message.type === 'retry') options.onRetry?.(message.words)
        else throw new PbManifestError('IO', message.message, message.options)
      },
      abandon: () => this.#abandon(),
    })
    this.#threads.growTo(1)
  }

  /** What computed the checksums that the manifest has; after `finish`. */
  get engines(): VerifyReport['engines'] {
    return nameEngines(this.#engines)
  }

  /**
   * Gives files to the threads, the largest first; starts as many threads as are worth it for all that is known now. Files
   * in which there is nothing to check, or not wanted, are left out.
   *
   * @throws {@link PbManifestError} `IO` when the system grants no more threads
   */
  publish(first: number, end: number, isWanted: (row: number) => boolean): void {
    const table = this.#table
    const { evidence } = this.#options
    const rows = new Uint32Array(end - first)
    let count = 0
    let bytes = 0
    for (let row = first; row < end; row++) {
      const algorithm = table.algorithm(row)
      if (algorithm === undefined && !this.#hasContent(row)) continue
      if (!isWanted(row)) continue
      if (evidence?.table.isLeft(row) === true) {
        this.sample.addLeft(table.size(row))
        continue
      }
      rows[count++] = row
      bytes += table.size(row)
      if (evidence?.table.isToCompare(row) === true) this.#demand.addComparing()
      else this.#demand.addReading(table.size(row))
    }
    this.#queue.publish(largestFirst(rows.subarray(0, count), table), bytes)
    this.#bytesTotal += bytes
    this.#grow()
  }

  #grow(): void {
    this.#threads.growTo(Math.min(this.#demand.threads, this.#options.jobs))
  }

  /** Tells the threads, which may be waiting for it, what WAL the backup needs. Due before {@link finish}. */
  tellWalRanges(ranges: readonly WalRange[]): void {
    this.#replayedWal.tell(ranges)
  }

  /**
   * Waits for the threads, and tells what they find of the files that were good until now.
   *
   * @throws {@link PbManifestError} `ABORTED`, or `IO` when a thread dies; what `problems` throws
   */
  async finish(scan: ScanResult, problems: ProblemList, placeOf?: PlaceOfRow): Promise<void> {
    this.#queue.complete()
    this.#tellProgress(0)
    const end = this.#threads.finish(this.#options.signal).then(() => true)
    // It is awaited below, unless what is told there fails first.
    end.catch(() => {})
    for (let isEnd = false; !isEnd;) {
      isEnd = await Promise.race([end, setTimeout(INTERVAL_MS, false, { ref: false })])
      await this.#tell(scan, problems, placeOf)
      if (!isEnd) this.#growWhileWaiting()
    }
    if (this.#told < this.#queue.length && !this.#queue.isAbandoned)
      throw new Error('threads have ended before all files were checked')
    await scan.settle()
    this.#tellProgress(this.#bytesTotal)
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    await this.#threads.close()
  }

  /** Starts as many threads again when those that there are wait for storage, and each of the new ones has enough to read. */
  #growWhileWaiting(): void {
    const threads = this.#threads.size
    const files = this.#queue.length - this.#told
    const { bytesLeft, bytesDone } = this.#queue
    const pieces = this.#told + bytesDone / BUFFER_BYTES
    if (!this.#storage.isWaiting(threads, pieces)) return
    this.#threads.growTo(Math.min(threadsWhereWaiting(threads, files, bytesLeft), this.#options.waitingJobs))
  }

  #abandon(): void {
    this.#queue.abandon()
    // A thread may be waiting for it.
    this.#replayedWal.tell([])
  }

  /** Passes on all that is known without a gap. */
  async #tell({ states, settle }: ScanResult, problems: ProblemList, placeOf?: PlaceOfRow): Promise<void> {
    const queue = this.#queue
    for (; this.#told < queue.length; this.#told++) {
      const code = queue.outcome(this.#told)
      if (code === outcomeCodes.unchanged) {
        this.#tellUnchanged(queue.row(this.#told), states)
        continue
      }
      const finding = this.#takeFinding(code, this.#told)
      if (code === 0 || (code === outcomeCodes.told && finding === undefined)) break
      const row = queue.row(this.#told)
      const found = finding === undefined ? [] : this.#problemsOf(row, finding)
      if (found.length > 0) await settle()
      else if (states[row] === fileStates.regular) states[row] = fileStates.intact
      // What the scan has reported already is not reported again.
      if (!isIntact(states, row)) continue
      // What was only to be looked at, and has changed, makes work.
      if (this.#options.evidence?.table.isToCompare(row) === true)
        this.#demand.addReading(this.#table.size(row))
      this.#count(this.#told, finding)
      if (code === outcomeCodes.goodByStore) this.#options.onGoodByStore?.(row)
      if (finding?.content !== undefined) {
        this.pages.add(this.#table.pathname(row), finding.content, placeOf?.(row, 'pages'))
      }
      for (const problem of found) problems.add(problem, placeOf?.(row, 'checksums'))
    }
    if (this.#demand.hasComparing) this.#grow()
    this.#tellProgress(queue.bytesDone)
  }

  /** `undefined` also when it has not arrived. */
  #takeFinding(code: number, place: number): FileFinding | undefined {
    if (code === outcomeCodes.absent) return absent
    if (code !== outcomeCodes.told) return undefined
    const finding = this.#findings.get(place)
    this.#findings.delete(place)
    return finding
  }

  #hasContent(row: number): boolean {
    const { content } = this.#options
    return content !== undefined && hasContent(this.#table.pathname(row), content)
  }

  #count(place: number, finding: FileFinding | undefined): void {
    const row = this.#queue.row(place)
    const { totals } = this
    const isReadWhole =
      finding === undefined || ['match', 'mismatch', 'transient'].includes(finding.outcome.type)
    if (isReadWhole && this.#table.algorithm(row) !== undefined) {
      totals.filesChecked++
      totals.bytesChecked += this.#table.size(row)
    }
    totals.pagesChecked += this.#queue.pages(place)
  }

  #tellUnchanged(row: number, states: FileStates): void {
    if (states[row] === fileStates.regular) states[row] = fileStates.intact
    if (!isIntact(states, row)) return
    this.sample.addRested(this.#table.size(row), this.#readAt?.[row] ?? 0)
  }

  #problemsOf(row: number, { outcome, content }: FileFinding): Problem[] {
    const pathname = this.#table.pathname(row)
    const problem = problemOf(this.#table, row, outcome)
    const problems = content === undefined ? [] : [...layoutProblems(pathname, content)]
    return problem === undefined ? problems : [problem, ...problems]
  }

  #tellProgress(bytes: number): void {
    const bytesTotal = this.#bytesTotal
    this.#options.onProgress?.({ bytesDone: Math.min(bytes, bytesTotal), bytesTotal })
  }
}

const absent: FileFinding = { outcome: absentFile, content: undefined }
