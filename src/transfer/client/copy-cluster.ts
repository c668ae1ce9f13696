import type { Pathname } from '../../files/pathname.js'
import { pagesOfIncrementalFile } from '../../postgres/incremental-file.js'
import type { BackupTarget } from '../../target/backup-target.js'
import type { ReceivedFile } from './file-receiver.js'
import type { ClusterListing } from './list-cluster.js'
import type { ReportParts } from './make-report.js'
import { DEFAULT_RETRIES } from './options.js'
import { planBatches } from './plan-batches.js'
import { ProgressMeter } from './progress-meter.js'
import { algorithmOf } from './received-checksums.js'
import type { RunContext } from './run-context.js'
import type { JoinableBackup, OpenedLeader } from './source/source.js'
import { WorkerCounters } from './worker-counters.js'
import type { StartWorker } from './worker-messages.js'
import { WorkerPool } from './worker-pool.js'
import type { WrittenMembers } from './written-members.js'

/** What the copying of a cluster needs. */
export interface CopyOptions extends RunContext {
  readonly leader: OpenedLeader
  readonly target: Pick<BackupTarget, 'path' | 'files' | 'shownPath'>
  /** Writes down what goes into archives; `undefined`: there are none. */
  readonly members: WrittenMembers | undefined
}

/** The copying of all files by the workers, and what is known of it. */
export class ClusterCopy {
  readonly counters: WorkerCounters
  /** Of the files that were copied; those without one are not in it. */
  readonly checksums: Map<Pathname, string> = new Map()
  /** Of the time in which workers waited for bytes: how much the server waited for the network; see `NetworkWatch`. */
  networkShare = 0
  #files = 0
  #bytes = 0
  #filesVanished = 0
  /** Of the files that are taken as their changes: the sizes of all of them. */
  #wholeSizes: ReadonlyMap<Pathname, number> = new Map()
  #incremental = { files: 0, blocks: 0, bytesSaved: 0 }
  readonly #options: CopyOptions
  readonly #pool: WorkerPool
  #meter: ProgressMeter | undefined

  /** Starts the workers: they connect, and wait for the backup. */
  constructor(options: CopyOptions) {
    const { failure, cleanUp, workers } = options
    const { jobs, onNotice } = options.options
    this.#options = options
    this.counters = WorkerCounters.allocate(jobs)
    this.#pool = new WorkerPool(failure, workers, {
      onFile: (file) => this.record(file),
      onVanished: (pathname) => this.#countVanished(pathname),
      onNotice: (notice) => onNotice?.(notice),
    })
    cleanUp.add(() => this.#pool.stop())
    this.#pool.start(this.#describeWorkers())
  }

  /** The backup has started. */
  join(backup: JoinableBackup): void {
    this.#pool.join(backup)
  }

  /** Copies everything that is listed, and has the workers seal their fragments. */
  async copy({ tablespaces, files }: ClusterListing): Promise<void> {
    const { leader, failure, target } = this.#options
    const { onProgress, jobs } = this.#options.options
    this.#wholeSizes = new Map(
      files.flatMap(({ pathname, wholeSize }) => (wholeSize === undefined ? [] : [[pathname, wholeSize]])),
    )
    if (onProgress !== undefined) {
      const pathnames = files.map(({ pathname }) => pathname)
      const [first = ''] = pathnames
      const now = {
        bytesDone: () => this.counters.totalBytes(),
        file: () => target.shownPath(this.#pool.pathname ?? first),
      }
      this.#meter = new ProgressMeter(tablespaces, pathnames, now, onProgress)
    }
    const watch = await leader.watchNetwork(() => this.#pool.pids, failure.signal)
    try {
      await this.#pool.copy(planBatches(files, jobs))
      this.#meter?.finish()
      this.networkShare = watch?.share ?? 0
    } finally {
      this.#meter?.close()
      await watch?.stop()
    }
  }

  /** Has the workers make everything durable, and end. */
  async finish(): Promise<void> {
    await this.#pool.finish()
  }

  totals(): Pick<ReportParts, 'files' | 'bytes' | 'filesVanished' | 'changes' | 'workers'> {
    const { counters } = this
    const workers = Array.from({ length: this.#pool.started }, (_, worker) => ({
      worker,
      files: counters.files(worker),
      bytes: counters.bytes(worker),
      reconnects: counters.reconnects(worker),
      seconds: counters.seconds(worker),
    }))
    return {
      files: this.#files,
      bytes: this.#bytes,
      filesVanished: this.#filesVanished,
      changes: this.#incremental,
      workers,
    }
  }

  /** A file is here. */
  record(file: ReceivedFile): void {
    const { pathname, size, checksum } = file
    this.#options.members?.add(file)
    this.#files++
    this.#bytes += size
    const wholeSize = this.#wholeSizes.get(pathname)
    if (wholeSize !== undefined) {
      this.#incremental.files++
      this.#incremental.blocks += pagesOfIncrementalFile(size)
      this.#incremental.bytesSaved += wholeSize - size
    }
    if (checksum !== undefined) this.checksums.set(pathname, checksum)
    this.#meter?.fileDone(pathname)
  }

  #countVanished(pathname: Pathname): void {
    this.#filesVanished++
    this.#meter?.fileDone(pathname)
  }

  #describeWorkers(): StartWorker[] {
    const { options, leader, target } = this.#options
    const { verifyPageChecksums = true, retries = DEFAULT_RETRIES } = options
    return Array.from({ length: options.jobs }, (_, worker) => ({
      server: leader.workers,
      fragmentDirectory: target.path,
      files: target.files,
      verifyPageChecksums,
      checksumAlgorithm: leader.workers.kind === 'agent' ? algorithmOf(options) : undefined,
      retries,
      worker,
      counters: this.counters.buffer,
    }))
  }
}
