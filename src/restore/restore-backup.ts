import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { PbManifestError } from '../errors.js'
import { displayPathname } from '../files/pathname.js'
import { throwIfAborted } from '../files/yielder.js'
import { parseMajorVersion, readControlFile } from '../manifest/data-directory-files.js'
import { readSmallFile } from '../files/read-small-file.js'
import { UNFINISHED_MANIFEST, UNFINISHED_MARK } from '../manifest/contents/made-by-backup.js'
import { TABLESPACE_MAP, tablespaceVersionDirectory } from '../postgres/data-directory.js'
import { startRun } from '../run-facts.js'
import { TargetDirectory } from '../target/target-directory.js'
import { tablespacesIn } from '../verify/file-table/file-table.js'
import type { VerifyReport } from '../verify/report.js'
import { verifyBackup } from '../verify/verify-backup.js'
import { openBackup, type OpenedBackup } from './open-backup.js'
import type { RestoreOptions, RestoreSource } from './options.js'
import type { RestoreReport } from './report.js'
import { makeDirectory, type RestoredFiles, restoreFiles } from './restore-files.js'
import { restoreMissing } from './restore-missing.js'
import { nameManifest, writeManifest } from './restored-manifest.js'

/** So many problems are told in an error. */
const MOST_DETAILS = 20

/**
 * Restores a backup into a directory that a server can start in: from a directory, in plain or in tar format, or from a command
 * that gives the parts of one in tar format. Every file is compared with the manifest while it is written, and what was written
 * is verified in the end: the WAL, pg_control and what a server needs besides files.
 *
 * The directory is whole in the end, or is as it was before.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST`, `BAD_FILE`, `IO`, `USAGE` or `ABORTED`
 * @example
 * ```ts
 * import { restoreBackup } from 'pbmanifest'
 *
 * const report = await restoreBackup({ directory: '/backups/monday' }, { directory: '/var/lib/postgresql/18/new' })
 * console.log(`${report.files} files, ${report.bytes} bytes`)
 * ```
 */
export async function restoreBackup(from: RestoreSource, options: RestoreOptions): Promise<RestoreReport> {
  const started = performance.now()
  const endRun = startRun()
  const { signal, onNotice } = options
  const stop = new AbortController()
  const abort = (): void => stop.abort()
  signal?.addEventListener('abort', abort)
  let target: TargetDirectory | undefined
  try {
    throwIfAborted(signal)
    if (options.onlyMissing === true && existsSync(options.directory)) {
      const report = await restoreMissing(from, options, stop.signal)
      return { ...endRun(), ...report, seconds: (performance.now() - started) / 1000 }
    }
    const backup = await openBackup(from, { ...options, signal: stop.signal })
    const { directory, tablespaceMappings = [] } = options
    const { tablespaces, hasGroupAccess } = backup
    target = await TargetDirectory.prepare({
      directory,
      tablespaces,
      mappings: tablespaceMappings,
      walDirectory: undefined,
      hasGroupAccess,
    })
    const run = new RestoreRun(backup, target, options, stop)
    const report = await run.restore()
    return { ...endRun(), ...report, seconds: (performance.now() - started) / 1000 }
  } catch (error) {
    if (target !== undefined && options.keepAfterFailure !== true) {
      for (const message of await target.remove()) onNotice?.(message)
    }
    throwIfAborted(signal)
    throw error
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

/** A restore whose target is there. */
class RestoreRun {
  readonly #backup: OpenedBackup
  readonly #target: TargetDirectory
  readonly #options: RestoreOptions
  readonly #stop: AbortController

  constructor(backup: OpenedBackup, target: TargetDirectory, options: RestoreOptions, stop: AbortController) {
    this.#backup = backup
    this.#target = target
    this.#options = options
    this.#stop = stop
  }

  async restore(): Promise<
    Omit<RestoreReport, 'seconds' | 'host' | 'pbmanifestVersion' | 'startedAt' | 'endedAt'>
  > {
    const { sync = true, manifestChecksums: algorithm } = this.#options
    const { path: directory } = this.#target
    this.#tellUnplaced()
    const leavesMapOut = this.#isMapWrong()
    const restored = await restoreFiles({
      backup: this.#backup,
      directory,
      leavesMapOut,
      jobs: this.#options.jobs ?? availableParallelism(),
      options: this.#options,
      stop: this.#stop,
    })
    const majorVersion = parseMajorVersion(readSmallFile(`${directory}/PG_VERSION`, 1024))
    this.#makeVersionDirectories(majorVersion)
    const { newChecksums } = restored
    const change = { leavesMapOut, algorithm, newChecksums, majorVersion }
    const checksum = await writeManifest(this.#backup, directory, change, { sync, signal: this.#stop.signal })
    const { walRecords, notChecked } = await this.#verify(restored)
    throwIfAborted(this.#options.signal)
    await this.#target.complete({ sync: sync ? 'fsync' : undefined })
    await nameManifest(directory, sync)
    const { files, bytes, unlistedFiles } = restored
    return {
      reportVersion: 1,
      source: this.#backup.shown,
      directory,
      tablespaces: this.#target.tablespaces.map(({ oid, location }) => ({
        oid,
        location: displayPathname(this.#locationOf(oid)),
        directory: displayPathname(location),
      })),
      files,
      bytes,
      unlistedFiles,
      manifest: { checksum, isRewritten: leavesMapOut || algorithm !== undefined },
      walRecords,
      notChecked,
    }
  }

  /**
   * Without a link, and with nothing that says where it was, it is kept inside, which a server takes only when it is told to.
   *
   * @see src/backend/access/transam/xlogrecovery.c, CheckTablespaceDirectory
   */
  #tellUnplaced(): void {
    const known = new Set(this.#backup.tablespaces.map(({ oid }) => oid))
    for (const { tablespaceOid: oid } of tablespacesIn(this.#backup.manifest.table)) {
      if (known.has(oid)) continue
      this.#options.onNotice?.(
        `nothing says where tablespace ${oid} was: it is restored into "pg_tblspc/${oid}"; a server wants it elsewhere, and a link there`,
      )
    }
  }

  /** A server that starts makes the links that tablespace_map names, so it must not name other places. */
  #isMapWrong(): boolean {
    const { manifest } = this.#backup
    if (manifest.table.find(TABLESPACE_MAP) === -1) return false
    const isMoved = this.#target.tablespaces.some(({ oid, location }) => this.#locationOf(oid) !== location)
    if (isMoved) {
      this.#options.onNotice?.(
        `"${TABLESPACE_MAP}" is left out, also of the manifest: its tablespaces are elsewhere now`,
      )
    }
    return isMoved
  }

  #locationOf(oid: number): string {
    return this.#backup.tablespaces.find((tablespace) => tablespace.oid === oid)?.location ?? ''
  }

  /** A tablespace without files has its directory all the same. */
  #makeVersionDirectories(majorVersion: number | undefined): void {
    const { path, tablespaces } = this.#target
    const control = tablespaces.length === 0 ? undefined : readControlFile(path)
    if (control === undefined || majorVersion === undefined) return
    const name = tablespaceVersionDirectory(majorVersion, control.catalogVersion)
    for (const { link } of tablespaces) makeDirectory(path, `${link}/${name}`, this.#backup.hasGroupAccess)
  }

  /** Looks at what no checksum tells. */
  async #verify(restored: RestoredFiles): Promise<VerifyReport> {
    const { path, tablespaces } = this.#target
    // What keeps the directories from looking whole until the end.
    const ownFiles = [
      UNFINISHED_MARK,
      UNFINISHED_MANIFEST,
      ...tablespaces.map(({ link }) => `${link}/${UNFINISHED_MARK}`),
    ]
    const { noParseWal = false, jobs, onNotice } = this.#options
    const hasOwnChecksums = this.#options.manifestChecksums === undefined
    const report = await verifyBackup(path, {
      format: 'plain',
      manifestPath: `${path}/${UNFINISHED_MANIFEST}`,
      ignore: ownFiles,
      knownChecksums: hasOwnChecksums ? restored.checksums : restored.newChecksums,
      noParseWal,
      ...(jobs !== undefined && { jobs }),
      signal: this.#stop.signal,
    })
    for (const { message } of report.warnings) onNotice?.(message)
    const notChecked = report.notChecked.filter(
      ({ what }) => what !== 'ignored-paths' && what !== 'reading-again',
    )
    if (report.verdict !== 'failed') return { ...report, notChecked }
    const { problems, problemCounts } = report
    const isOfWal = problemCounts['wal-missing'] > 0
    throw new PbManifestError('IO', 'what was restored does not verify', {
      details: problems
        .slice(0, MOST_DETAILS)
        .map(({ message, detail }) => (detail === undefined ? message : `${message}: ${detail}`)),
      ...(isOfWal && {
        hint: 'Use --no-parse-wal to do without WAL, which a restore_command then has to bring.',
      }),
    })
  }
}
