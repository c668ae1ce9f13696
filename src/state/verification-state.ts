import { readdirSync, unlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isPbManifestError, PbManifestError } from '../errors.js'
import { displayPathname } from '../files/pathname.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import { formatReportAsJson } from '../verify/format-report.js'
import type { VerifyReport } from '../verify/report.js'
import type { BegunVerification, VerificationKeeper } from '../verify/plain/evidence.js'
import {
  type BackupRecord,
  forgetFailedRun,
  readRecord,
  setRecordAside,
  withRun,
  writeFailedRun,
  writeRecord,
} from './backup-record.js'
import { readEvidence, removeEvidence, writeEvidence } from './evidence-file.js'
import { describeSubset, planFiles, type ReadingPlan } from './plan-files.js'
import { RunLock } from './run-lock.js'
import {
  makePrivateDirectory,
  requireOutside,
  StateDirectory,
  syncParent,
  writeDurably,
} from './state-directory.js'

const REPORTS = 'reports'

/** How to keep what a verification finds, and to use what earlier ones have. */
export interface VerificationStateOptions extends ReadingPlan {
  /** Is told of what is damaged in the state, and so not used. */
  readonly onWarning: (message: string) => void
}

/** What is kept of the verifications of one backup, while one of them runs. */
export class VerificationState implements VerificationKeeper {
  readonly asked: VerificationKeeper['asked']
  readonly #state: StateDirectory | undefined
  readonly #directory: string
  readonly #options: VerificationStateOptions
  /** Why nothing can be kept, which is no reason not to verify. */
  #failure: unknown
  #lock: RunLock | undefined
  #place = ''
  #begun: BegunVerification | undefined
  #hasProblem = false
  /** Another run has the backup, and will say what came of it. */
  #isRefused = false

  private constructor(
    state: StateDirectory | undefined,
    directory: string,
    options: VerificationStateOptions,
    failure?: unknown,
  ) {
    this.#state = state
    this.#directory = directory
    this.#options = options
    const { maxAgeSeconds, subset } = options
    this.asked = {
      ...(maxAgeSeconds !== undefined && { maxAgeSeconds }),
      ...(subset !== undefined && { subset: describeSubset(subset) }),
    }
    this.#failure = failure
  }

  /**
   * Makes a state directory ready for a verification; `close` is due.
   *
   * @throws {@link PbManifestError} `USAGE` when it is in the backup; `IO`; `BAD_FILE` when it is no such directory
   */
  static async open(
    stateDirectory: string,
    backupDirectory: string,
    options: VerificationStateOptions,
  ): Promise<VerificationState> {
    requireOutside(stateDirectory, backupDirectory)
    try {
      const state = await StateDirectory.prepare(resolve(stateDirectory))
      return new VerificationState(state, backupDirectory, options)
    } catch (error) {
      if (isOfDisk(error)) return new VerificationState(undefined, backupDirectory, options, error)
      throw error
    }
  }

  /**
   * Takes what is kept of this backup for this run alone, and decides by it which files are read.
   *
   * @throws {@link PbManifestError} `IO`, also when another run has it
   */
  readonly begin = async (begun: BegunVerification): Promise<void> => {
    const { maxAgeSeconds, subset } = this.#options
    if (begun.evidence === undefined && (maxAgeSeconds !== undefined || subset !== undefined)) {
      throw new PbManifestError('USAGE', 'a backup in tar format is always read whole', {
        hint: 'Evidence of earlier verifications (--max-age, --subset) is for files, not for archives.',
      })
    }
    this.#begun = begun
    if (this.#state !== undefined) {
      try {
        await this.#take(this.#state.placeOf(begun), begun.path)
        this.#readEvidence(begun)
      } catch (error) {
        if (!isOfDisk(error)) throw error
        this.#failure = error
      }
    }
    const { table, isWanted, evidence } = begun
    if (evidence === undefined) return
    planFiles(
      {
        rows: table.rows,
        size: (row) => table.size(row),
        isWanted: (row) => table.algorithm(row) !== undefined && isWanted(row),
        evidence: evidence.table,
        now: Date.now(),
      },
      this.#options,
    )
  }

  async #take(place: string, path: string): Promise<void> {
    makePrivateDirectory(join(place, REPORTS))
    await syncParent(place)
    this.#isRefused = true
    this.#lock = RunLock.take(place, `the backup in "${displayPathname(path)}"`)
    this.#isRefused = false
    this.#place = place
    for (const directory of [place, join(place, REPORTS)]) removeTemporaryFiles(directory)
  }

  #readEvidence({ evidence, table, manifestChecksum }: BegunVerification): void {
    if (evidence === undefined) return
    try {
      const { rules } = evidence
      readEvidence(this.#place, { manifestChecksum, rows: table.rows, rules }, evidence.table)
    } catch (error) {
      if (!isDamaged(error)) throw error
      this.#options.onWarning(`${error.message}; no file is passed over by it`)
    }
  }

  /**
   * To be called at each problem, as soon as it is found: from then on nothing rests on older evidence, even if this run is
   * killed before it can say of which file that is true.
   */
  noteProblem(): void {
    if (this.#hasProblem || this.#lock === undefined) return
    this.#hasProblem = true
    try {
      removeEvidence(this.#place)
    } catch (error) {
      this.#failure ??= error
    }
  }

  /**
   * Keeps a report, and evidence for later runs.
   *
   * @returns the path of the report's file
   * @throws {@link PbManifestError} `IO`; what was there before is as it was
   */
  async keep(report: VerifyReport): Promise<string> {
    await this.keepEvidence()
    const place = this.#place
    const record = this.#readRecord()
    const name = `${REPORTS}/${nameOf(report, record)}`
    await writeDurably(join(place, name), endWithLineFeed(formatReportAsJson(report)))
    await writeRecord(place, withRun(record, report, { allReadSince: readSince(report), report: name }))
    if (this.#state !== undefined) forgetFailedRun(this.#state, this.#directory)
    return join(place, name)
  }

  /**
   * Keeps the evidence alone: of a run that was interrupted, so that the next one need not do all of it again.
   *
   * @throws {@link PbManifestError} `IO`
   */
  async keepEvidence(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#begun === undefined || this.#lock === undefined) return
    this.#lock.requireHeld()
    const { evidence, table, manifestChecksum } = this.#begun
    if (evidence === undefined) return
    const { rules } = evidence
    await writeEvidence(this.#place, { manifestChecksum, rows: table.rows, rules }, evidence.table)
  }

  /**
   * Keeps that there is no report, and why. What was asked for wrongly, or was stopped, or is done by another run, says nothing of
   * the backup.
   *
   * @throws {@link PbManifestError} `IO`
   */
  async keepFailure(error: unknown): Promise<void> {
    if (this.#state === undefined || this.#isRefused || !isPbManifestError(error)) return
    if (error.code === 'USAGE' || error.code === 'ABORTED') return
    await writeFailedRun(this.#state, this.#directory, error)
  }

  /** To be called in any case. */
  close(): void {
    this.#lock?.release()
  }

  #readRecord(): BackupRecord | undefined {
    try {
      return readRecord(this.#place)
    } catch (error) {
      if (!isDamaged(error)) throw error
      this.#options.onWarning(`${error.message}; it is put aside`)
      setRecordAside(this.#place)
      return undefined
    }
  }
}

function isDamaged(error: unknown): error is Error {
  return isPbManifestError(error) && error.code === 'BAD_FILE'
}

/** Whether an error is one of a disk that may be better tomorrow, and not of what was asked for. */
function isOfDisk(error: unknown): boolean {
  if (!isPbManifestError(error)) return false
  return ['ENOSPC', 'EDQUOT', 'EIO', 'EROFS'].includes(describeSystemError(error.cause)?.code ?? '')
}

/** The time at which it began: `20261122T213605.123Z.json`. */
function nameOf({ startedAt }: VerifyReport, record: BackupRecord | undefined): string {
  const base = startedAt.replaceAll(/[-:]/g, '')
  const taken = new Set(record?.runs.map(({ report }) => report))
  for (let number = 0; ; number++) {
    const name = number === 0 ? `${base}.json` : `${base}-${number}.json`
    if (!taken.has(`${REPORTS}/${name}`)) return name
  }
}

/** What makes it unknown whether a file was read, whatever was read. */
const leavesFilesOut: ReadonlySet<VerifyReport['notChecked'][number]['what']> = new Set([
  'ignored-paths',
  'files-without-checksum',
  'after-first-problem',
])

/** Since when each file has been read once, by this report. */
function readSince(report: VerifyReport): string | null {
  const { checksumsFrom, verdict, startedAt, sample, notChecked } = report
  if (checksumsFrom !== 'files' || (verdict !== 'verified' && verdict !== 'sampled')) return null
  if (notChecked.some(({ what }) => leavesFilesOut.has(what))) return null
  if (sample === undefined || sample.rested.files === 0)
    return (sample?.left.files ?? 0) > 0 ? null : startedAt
  return sample.left.files > 0 ? null : sample.rested.readSince
}

function* endWithLineFeed(pieces: Iterable<string>): Generator<string, void, undefined> {
  yield* pieces
  yield '\n'
}

/** What runs left that were killed. */
function removeTemporaryFiles(directory: string): void {
  try {
    for (const name of readdirSync(directory)) if (name.endsWith('.tmp')) unlinkSync(join(directory, name))
  } catch (error) {
    throw ioError(`could not clean up directory "${directory}"`, error)
  }
}
