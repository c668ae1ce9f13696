import { readdirSync, unlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isPbManifestError } from '../errors.js'
import { displayPathname } from '../files/pathname.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import { formatReportAsJson } from '../verify/format-report.js'
import type { VerifyReport } from '../verify/report.js'
import { type BackupRecord, readRecord, setRecordAside, withRun, writeRecord } from './backup-record.js'
import { RunLock } from './run-lock.js'
import { makeDirectory, requireOutside, StateDirectory, syncParent, writeDurably } from './state-directory.js'

const REPORTS = 'reports'

/** What is kept of the verifications of one backup, while one of them runs. */
export class VerificationState {
  readonly #state: StateDirectory | undefined
  readonly #onWarning: (message: string) => void
  /** Why nothing can be kept, which is no reason not to verify. */
  #failure: unknown
  #lock: RunLock | undefined
  #place = ''

  private constructor(
    state: StateDirectory | undefined,
    onWarning: (message: string) => void,
    failure?: unknown,
  ) {
    this.#state = state
    this.#onWarning = onWarning
    this.#failure = failure
  }

  /**
   * Makes a state directory ready for a verification; `close` is due.
   *
   * @param onWarning - is told of what is damaged there, and so not used
   * @throws {@link PbManifestError} `USAGE` when it is in the backup; `IO`; `BAD_FILE` when it is no such directory
   */
  static async open(
    stateDirectory: string,
    backupDirectory: string,
    onWarning: (message: string) => void,
  ): Promise<VerificationState> {
    requireOutside(stateDirectory, backupDirectory)
    try {
      return new VerificationState(await StateDirectory.prepare(resolve(stateDirectory)), onWarning)
    } catch (error) {
      if (isOfDisk(error)) return new VerificationState(undefined, onWarning, error)
      throw error
    }
  }

  /**
   * Takes what is kept of this backup for this run alone.
   *
   * @throws {@link PbManifestError} `IO`, also when another run has it
   */
  async begin(path: string, manifestChecksum: string): Promise<void> {
    if (this.#state === undefined) return
    try {
      await this.#take(this.#state.placeOf({ path, manifestChecksum }), path)
    } catch (error) {
      if (!isOfDisk(error)) throw error
      this.#failure = error
    }
  }

  async #take(place: string, path: string): Promise<void> {
    makeDirectory(join(place, REPORTS))
    await syncParent(place)
    this.#lock = RunLock.take(place, `the backup in "${displayPathname(path)}"`)
    this.#place = place
    for (const directory of [place, join(place, REPORTS)]) removeTemporaryFiles(directory)
  }

  /**
   * Keeps a report.
   *
   * @returns the path of its file
   * @throws {@link PbManifestError} `IO`; what was there before is as it was
   */
  async keep(report: VerifyReport): Promise<string> {
    if (this.#failure !== undefined) throw this.#failure
    const place = this.#place
    this.#lock?.requireHeld()
    const record = this.#readRecord()
    const name = `${REPORTS}/${nameOf(report, record)}`
    await writeDurably(join(place, name), endWithLineFeed(formatReportAsJson(report)))
    await writeRecord(place, withRun(record, report, { allReadSince: readSince(report), report: name }))
    return join(place, name)
  }

  /** To be called in any case. */
  close(): void {
    this.#lock?.release()
  }

  #readRecord(): BackupRecord | undefined {
    try {
      return readRecord(this.#place)
    } catch (error) {
      if (!isPbManifestError(error) || error.code !== 'BAD_FILE') throw error
      this.#onWarning(`${error.message}; it is put aside`)
      setRecordAside(this.#place)
      return undefined
    }
  }
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

function readSince({ checksumsFrom, verdict, startedAt }: VerifyReport): string | null {
  return checksumsFrom === 'files' && verdict === 'verified' ? startedAt : null
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
