import { statSync } from 'node:fs'
import { type Pathname, pathOf } from '../../files/pathname.js'
import { readNames } from '../../files/read-directory.js'
import { readSmallFile } from '../../files/read-small-file.js'
import { describeSystemError } from '../../files/system-error.js'
import { parsePositiveUnsignedInt32 } from '../../postgres/unsigned-int.js'
import type { VerifyContext } from '../verify-context.js'
import { type BackupEvidence, evidenceRulesOf, EvidenceTable } from './evidence.js'
import { type FileTotals, noTotals, type VerifiedBackup } from '../verified-backup.js'
import { listWalSegments } from '../wal/file-wal-source.js'
import { ChecksumCheck } from './checksum-check.js'
import { type BackupDirectories, checkNeededDirectories } from '../needed-directories.js'
import { PagesInQuestion } from '../content/pages-in-question.js'
import type { ContentDecision } from '../content/decide-content-rules.js'
import { maxRowsOf } from '../file-table/file-rows.js'
import type { FileTable } from '../file-table/file-table.js'
import type { KnownChecksums, VerifyOptions } from '../options.js'
import type { VerifyReport } from '../report.js'
import { type ChecksumThread, type FileStates, isIntact } from './checksum-messages.js'
import type { OpenedWal } from '../wal/wal-source.js'
import { MOST_WAITING_THREADS } from './storage-watch.js'
import { scanDirectory } from './scan-directory.js'
import { placesInQueue } from './share-of-scan.js'
import type { Yielder } from '../../files/yielder.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { createFileHasher } from '../../manifest/checksum/create-file-hasher.js'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import { checkFile, type FileOutcome, problemOf, ReadBuffer } from './check-file.js'
import type { ProblemList } from '../problems.js'

/** What a {@link PlainBackup} is made of. */
interface PlainBackupOptions {
  readonly directory: string
  readonly options: VerifyOptions
  readonly jobs: number
  readonly content: ContentDecision
  /** The manifest's files; empty yet. */
  readonly table: FileTable
  readonly manifestBytes: number
  /** For the first of the threads. */
  readonly prestarted: ChecksumThread | undefined
  /** Whether somebody keeps evidence: then no file is read before it is known what there is. */
  readonly keepsEvidence: boolean
  /** Whether it is one share of the backup: which files are in it is known when the manifest is. */
  readonly isShare: boolean
}

/** A backup in plain format: a directory. Its files are read while the manifest is still being parsed. */
export class PlainBackup implements VerifiedBackup {
  readonly format = 'plain'
  readonly isPart = false
  readonly #directory: string
  /** Of a verification without threads. */
  #totals: FileTotals = noTotals
  /** `undefined` when files are not to be read. */
  readonly #checksums: ChecksumCheck | undefined
  readonly evidence: BackupEvidence | undefined
  readonly #isShare: boolean
  /** Files that wait for what is known of them. */
  readonly #waiting: Parameters<VerifiedBackup['expect']>[] = []

  /** Starts the threads; `close` ends them. */
  constructor(plan: PlainBackupOptions) {
    const { directory, options, jobs, content, table, manifestBytes, prestarted } = plan
    const { signal, onProgress } = options
    this.#directory = directory
    this.#isShare = plan.isShare
    if (options.skipChecksums === true || options.knownChecksums !== undefined) return
    this.evidence = plan.keepsEvidence
      ? {
          table: EvidenceTable.allocate(maxRowsOf(manifestBytes)),
          rules: evidenceRulesOf(content),
        }
      : undefined
    const { evidence } = this
    this.#checksums = new ChecksumCheck(
      {
        directory,
        jobs,
        maxRate: options.maxRate,
        // Who is held to a rate waits for that.
        waitingJobs:
          options.maxRate === undefined ? (options.jobs ?? Math.max(jobs, MOST_WAITING_THREADS)) : jobs,
        signal,
        onProgress,
        content: content.rules,
        prestarted,
        evidence,
      },
      table,
      manifestBytes,
    )
  }

  get sample(): VerifyReport['sample'] {
    if (this.#checksums === undefined || this.evidence === undefined) return undefined
    const { rested, left } = this.#checksums.sample
    const { files, bytes, readSince } = rested
    return {
      rested: { files, bytes, readSince: files === 0 ? null : new Date(readSince).toISOString() },
      left: { ...left },
    }
  }

  get totals(): FileTotals {
    return this.#checksums?.totals ?? this.#totals
  }

  get pages(): PagesInQuestion {
    return this.#checksums?.pages ?? new PagesInQuestion()
  }

  expect(...rows: Parameters<VerifiedBackup['expect']>): void {
    if (this.evidence === undefined && !this.#isShare) this.#checksums?.publish(...rows)
    else this.#waiting.push(rows)
  }

  async compare(context: VerifyContext): Promise<void> {
    const { options, manifest, ignore, problems, clock, yielder, share } = context
    const { knownChecksums, skipChecksums } = options
    const directory = this.#directory
    const { table } = manifest
    this.#checksums?.tellWalRanges(manifest.walRanges)
    const checksums = this.#checksums
    const pieces = this.#waiting.splice(0)
    for (const [first, end, isWanted] of pieces)
      checksums?.publish(first, end, share ? (row) => share.ownsRow(row) && isWanted(row) : isWanted)
    const placeOf = share && placesInQueue(pieces, table)
    const isLeft = (row: number): boolean => this.evidence?.table.isLeft(row) === true
    const scan = await clock.time('scan', async () => {
      const found = await scanDirectory({
        directory,
        table,
        ignore,
        problems,
        yielder,
        states: checksums?.states,
        isRead: checksums && ((row) => table.algorithm(row) !== undefined && !isLeft(row)),
        share,
      })
      if (share?.hasCluster === false) return found
      await checkNeededDirectories(
        { ...directoriesOnDisk(directory), beforeProblems: found.settle },
        (...file) => this.readSmallFile(...file),
        context,
      )
      return found
    })
    await clock.time('checksums', async () => {
      await checksums?.finish(scan, problems, placeOf)
      if (knownChecksums === undefined || skipChecksums === true) return
      const known = { directory, table, states: scan.states, problems, yielder }
      this.#totals = { ...noTotals, ...(await compareKnownChecksums(knownChecksums, known)) }
    })
  }

  readSmallFile(pathname: string, maxBytes: number): Buffer | undefined {
    return readSmallFile(`${this.#directory}/${pathname}`, maxBytes)
  }

  listWal(): readonly Pathname[] {
    return namesIn(`${this.#directory}/pg_wal`)
  }

  openWal({ options: { partialWal = false } }: VerifyContext): OpenedWal {
    return { source: listWalSegments([`${this.#directory}/pg_wal`], partialWal), close: async () => {} }
  }

  get engines(): VerifyReport['engines'] {
    return this.#checksums?.engines ?? {}
  }

  async close(): Promise<void> {
    await this.#checksums?.close()
  }
}

function directoriesOnDisk(directory: string): BackupDirectories {
  return {
    presence: (pathname) => {
      try {
        return statSync(`${directory}/${pathname}`).isDirectory() ? 'directory' : 'no directory'
      } catch (error) {
        const { code } = describeSystemError(error) ?? {}
        // A link that leads nowhere is of no use either.
        return code === 'ENOENT' || code === 'ENOTDIR' ? 'absent' : 'unknown'
      }
    },
    tablespaces: namesIn(`${directory}/pg_tblspc`).filter(
      (name) => parsePositiveUnsignedInt32(name) !== undefined,
    ),
    place: 'on disk',
  }
}

/** None of one that is not there. */
function namesIn(directory: string): Pathname[] {
  try {
    return readNames(directory)
  } catch (error) {
    // The scan has reported it, or the WAL is missing.
    if (describeSystemError(error) === undefined) throw error
    return []
  }
}

const BUFFER_BYTES = 256 * 1024

interface KnownChecksumContext {
  readonly directory: string
  readonly table: FileTable
  readonly states: FileStates
  readonly problems: ProblemList
  readonly yielder: Yielder
}

/**
 * Compares the manifest with checksums that are known already. Only a file whose checksum is not known, or is not the
 * manifest's, is read.
 *
 * @returns how many files were compared, and how many bytes they have
 */
async function compareKnownChecksums(
  known: KnownChecksums,
  { directory, table, states, problems, yielder }: KnownChecksumContext,
): Promise<{ filesChecked: number; bytesChecked: number }> {
  const totals = { filesChecked: 0, bytesChecked: 0 }
  const buffer = new ReadBuffer(Buffer.allocUnsafe(BUFFER_BYTES))
  const hashers = new Map<RealChecksumAlgorithm, FileHasher>()
  for (let row = 0; row < table.rows; row++) {
    const algorithm = table.algorithm(row)
    if (yielder.isDue) await yielder.yield()
    if (algorithm === undefined || !isIntact(states, row)) continue
    const pathname = table.pathname(row)
    let outcome: FileOutcome = { type: 'match' }
    if (known.get(pathname) !== table.checksum(row)) {
      const findOtherChecksum = (hasher: FileHasher): string | undefined =>
        table.findOtherChecksum(row, hasher)
      const expected = { path: pathOf(directory, pathname), size: table.size(row), findOtherChecksum }
      const hasher = hashers.get(algorithm) ?? (await createFileHasher(algorithm, 'unknown'))
      hashers.set(algorithm, hasher)
      outcome = checkFile(expected, buffer, { hasher, onContent: undefined, onBytes: () => {} }, true)
    }
    if (outcome.type === 'match' || outcome.type === 'mismatch') {
      totals.filesChecked++
      totals.bytesChecked += table.size(row)
    }
    const problem = problemOf(table, row, outcome)
    if (problem !== undefined) problems.add(problem)
  }
  return totals
}
