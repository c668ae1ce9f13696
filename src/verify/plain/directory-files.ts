import { statSync } from 'node:fs'
import { readNames } from '../../files/read-directory.js'
import { readSmallFile } from '../../files/read-small-file.js'
import type { ControlFile } from '../../postgres/control-file.js'
import { describeSystemError } from '../../files/system-error.js'
import { parsePositiveUnsignedInt32 } from '../../postgres/unsigned-int.js'
import type { FirstTouches } from '../../postgres/wal/block-touches.js'
import type { BackupFiles, BackupFilesOptions, CheckTotals, VerifyContext } from '../backup-files.js'
import { checkWal, type WalTotals } from '../wal/check-wal.js'
import { openWalPath } from '../tar/open-wal-path.js'
import { listWalSegments } from '../wal/list-wal-segments.js'
import { ChecksumCheck } from './checksum-check.js'
import { compareKnownChecksums } from './known-checksums.js'
import { type BackupDirectories, checkNeededDirectories } from '../needed-directories.js'
import type { VerifyReport } from '../report.js'
import { scanDirectory } from './scan-directory.js'

/** The files of a backup in plain format: a directory. Its files are read while the manifest is still being parsed. */
export class DirectoryFiles implements BackupFiles {
  readonly format = 'plain'
  readonly isPart = false
  readonly #directory: string
  readonly #jobs: number
  readonly #wal: WalTotals = { walRecords: 0, walBytes: 0 }
  /** Of a verification without threads. */
  #totals = noTotals
  /** `undefined` when files are not to be read. */
  readonly #checksums: ChecksumCheck | undefined

  /** Starts the threads; `close` ends them. */
  constructor({ directory, options, jobs, content, table, manifestBytes, ahead }: BackupFilesOptions) {
    const { signal, onProgress } = options
    this.#directory = directory
    this.#jobs = jobs
    this.#checksums =
      options.skipChecksums === true || options.knownChecksums !== undefined
        ? undefined
        : new ChecksumCheck(
            { directory, jobs, signal, onProgress, content: content.rules, ahead },
            table,
            manifestBytes,
          )
  }

  get totals(): CheckTotals {
    return { ...(this.#checksums?.totals ?? this.#totals), ...this.#wal }
  }

  expect(...rows: Parameters<BackupFiles['expect']>): void {
    this.#checksums?.publish(...rows)
  }

  async compare(context: VerifyContext): Promise<void> {
    const { options, manifest, ignore, problems, timer, way } = context
    const { knownChecksums, skipChecksums } = options
    const directory = this.#directory
    const { table } = manifest
    this.#checksums?.tellWalRanges(manifest.walRanges)
    const checksums = this.#checksums
    const scan = await timer.time('scan', async () => {
      const found = await scanDirectory({
        directory,
        table,
        ignore,
        problems,
        way,
        states: checksums?.states,
        isRead: checksums && ((row) => table.algorithm(row) !== undefined),
      })
      await checkNeededDirectories(
        { ...directoriesOnDisk(directory), beforeProblems: found.settle },
        (...file) => this.readSmallFile(...file),
        context,
      )
      return found
    })
    await timer.time('checksums', async () => {
      await checksums?.finish(scan, problems)
      if (knownChecksums === undefined || skipChecksums === true) return
      const known = { directory, table, states: scan.states, problems, way }
      this.#totals = { ...noTotals, ...(await compareKnownChecksums(knownChecksums, known)) }
    })
  }

  readSmallFile(pathname: string, maxBytes: number): Buffer | undefined {
    return readSmallFile(`${this.#directory}/${pathname}`, maxBytes)
  }

  reportPages(context: VerifyContext, touches: FirstTouches | undefined): void {
    const checks = this.#checksums
    if (checks !== undefined) Object.assign(checks.totals.pages, checks.pages.report(touches, context))
  }

  async checkWal(
    context: VerifyContext,
    control: ControlFile | undefined,
  ): Promise<FirstTouches | undefined> {
    const { options, ...findings } = context
    const { walDirectory, partialWal = false } = options
    const { source, close } =
      walDirectory === undefined
        ? { source: listWalSegments([`${this.#directory}/pg_wal`], partialWal), close: async () => {} }
        : await openWalPath(walDirectory, context)
    try {
      return await checkWal({
        ...findings,
        source,
        readSmallFile: (...file) => this.readSmallFile(...file),
        jobs: this.#jobs,
        signal: options.signal,
        control,
        totals: this.#wal,
        wanted: this.#checksums?.pages.wanted(control) ?? new Uint32Array(),
      })
    } finally {
      await close()
    }
  }

  get engines(): VerifyReport['engines'] {
    return this.#checksums?.engines ?? {}
  }

  async close(): Promise<void> {
    await this.#checksums?.close()
  }
}

const noTotals = {
  filesChecked: 0,
  bytesChecked: 0,
  pages: { checked: 0, mismatched: 0, newer: 0, replayed: 0 },
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
    tablespaces: tablespacesIn(`${directory}/pg_tblspc`),
    place: 'on disk',
  }
}

function tablespacesIn(directory: string): string[] {
  try {
    return readNames(directory).filter((name) => parsePositiveUnsignedInt32(name) !== undefined)
  } catch (error) {
    // The scan has reported it.
    if (describeSystemError(error) === undefined) throw error
    return []
  }
}
