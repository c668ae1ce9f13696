import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { PbManifestError } from '../errors.js'
import { writeNewFile } from '../files/durable-file.js'
import { pathOf } from '../files/pathname.js'
import { throwIfAborted } from '../files/yielder.js'
import { BACKUP_LABEL } from '../postgres/data-directory.js'
import { startRun } from '../run-facts.js'
import { StepClock } from '../step-clock.js'
import { requireEmptyOrMissing } from '../target/claimed-directory.js'
import type { TargetDirectory } from '../target/target-directory.js'
import { ReplayedWal } from '../verify/content/replayed-wal.js'
import type { CheckedPages } from '../verify/report.js'
import { checkInputs } from './check-inputs.js'
import { CombineFindings } from './findings.js'
import { judgePages } from './judge-pages.js'
import { type CombineThread, type MadeFiles, makeFiles, prestartCombining } from './make-files.js'
import type { CombineOptions } from './options.js'
import { type CombinationPlan, planCombination } from './plan-combination.js'
import { chooseMethod, prepareResult } from './prepare-result.js'
import { type CombineReport, type CombineStep, combineSteps } from './report.js'
import { ResultManifest } from './result-manifest.js'

/**
 * Puts a full backup and the incremental ones that build on it together into one full backup, with many threads, and compares every
 * file that it reads with the manifest of its backup on the way.
 *
 * The result is that of `pg_combinebackup`. It appears whole or not at all: where something is wrong with an input, or it is stopped, nothing is left
 * of it.
 *
 * @returns the report, also when there are problems: look at `verdict`
 * @throws {@link PbManifestError} when there can be no report: `USAGE`, `BAD_MANIFEST`, `IO`, `BAD_FILE`, `CANNOT_MERGE` or `ABORTED`
 * @example
 * ```ts
 * import { combineBackups } from 'pbmanifest'
 *
 * const report = await combineBackups({
 *   directories: ['/backups/sunday', '/backups/monday', '/backups/tuesday'],
 *   output: '/backups/combined',
 * })
 * if (report.verdict !== 'combined') throw new Error('these cannot be combined')
 * ```
 */
export async function combineBackups(options: CombineOptions): Promise<CombineReport> {
  requireOptions(options)
  return await new Combination(options).run()
}

function requireOptions({ directories, jobs }: CombineOptions): void {
  if (directories.length === 0) throw new PbManifestError('USAGE', 'no input directories specified')
  if (jobs === undefined || (Number.isSafeInteger(jobs) && jobs >= 1)) return
  throw new PbManifestError('USAGE', 'jobs must be a whole number from 1')
}

const noFiles: MadeFiles = {
  problems: [],
  badPages: [],
  totals: {
    bytesRead: 0,
    bytesWritten: 0,
    wholeFiles: 0,
    reconstructedFiles: 0,
    compared: 0,
    pages: 0,
    zeroBlocks: 0,
  },
  blocks: [],
  shares: 0,
}

class Combination {
  readonly #options: CombineOptions
  readonly #jobs: number
  readonly #findings: CombineFindings
  readonly #clock: StepClock<CombineStep>
  readonly #endRun = startRun()
  #made: MadeFiles = noFiles
  #pages: Omit<CheckedPages, 'checked'> = { mismatched: 0, newer: 0, replayed: 0 }
  #method: CombineReport['copyMethod']

  constructor(options: CombineOptions) {
    this.#options = options
    this.#jobs = options.jobs ?? availableParallelism()
    this.#findings = new CombineFindings(options)
    this.#clock = new StepClock(combineSteps, options.onStep)
    this.#method = options.copyMethod ?? 'auto'
  }

  async run(): Promise<CombineReport> {
    await requireEmptyOrMissing(resolve(this.#options.output), undefined)
    const prestarted = prestartCombining()
    try {
      return await this.#combine(prestarted)
    } finally {
      await prestarted.close()
    }
  }

  async #combine(prestarted: CombineThread): Promise<CombineReport> {
    const { dryRun = false, output } = this.#options
    const inputs = await this.#clock.time('check', () =>
      checkInputs(this.#options, this.#jobs, this.#findings),
    )
    if (this.#findings.hasProblem) return this.#report(null)
    const plan = await this.#clock.time('plan', () => planCombination(inputs, this.#options, this.#findings))
    if (this.#findings.hasProblem) return this.#report(null)
    if (dryRun) {
      this.#made = await this.#clock.time('combine', () =>
        this.#makeFiles(plan, prestarted, undefined, undefined),
      )
      this.#addProblems()
      return this.#report(null)
    }
    const { tablespaceMappings = [] } = this.#options
    const target = await prepareResult(output, plan.listing, tablespaceMappings, plan.modes)
    try {
      const manifest = await this.#fill(target, plan, prestarted)
      if (this.#findings.hasProblem) await this.#remove(target)
      return this.#report(manifest)
    } catch (error) {
      await this.#remove(target)
      throw error
    }
  }

  /** @returns the manifest; `null` when there is a problem, or none was wanted */
  async #fill(
    target: TargetDirectory,
    plan: CombinationPlan,
    prestarted: CombineThread,
  ): Promise<CombineReport['manifest']> {
    const {
      manifest: isWanted = true,
      checksumAlgorithm = 'CRC32C',
      sync = true,
      signal,
      output,
    } = this.#options
    const { fileMode } = plan.modes
    const manifest = isWanted ? new ResultManifest(target.path, fileMode, checksumAlgorithm) : undefined
    if (manifest !== undefined) await target.mark(manifest.backupId)
    await writeNewFile(join(target.path, BACKUP_LABEL), [plan.label], { mode: fileMode, sync })
    await manifest?.addLabel(plan.label)
    this.#made = await this.#clock.time('combine', () => this.#makeFiles(plan, prestarted, target, manifest))
    this.#addProblems()
    await this.#clock.time('wal', () => this.#judgePages(plan))
    if (this.#findings.hasProblem) return null
    throwIfAborted(signal)
    const checksum = await this.#clock.time('manifest', async () =>
      manifest?.merge(this.#made.shares, plan.last, signal),
    )
    await this.#clock.time('sync', async () => {
      await target.complete({ sync: sync ? (this.#options.syncMethod ?? 'fsync') : undefined })
      throwIfAborted(signal)
      await manifest?.appear(sync)
    })
    return checksum === undefined ? null : { path: `${output}/backup_manifest`, checksum }
  }

  async #makeFiles(
    { inputs, last, files, modes, content }: CombinationPlan,
    prestarted: CombineThread,
    target: TargetDirectory | undefined,
    manifest: ResultManifest | undefined,
  ): Promise<MadeFiles> {
    const { directories, verify = true, sync = true, onProgress, onFile, signal } = this.#options
    const replayedWal = new ReplayedWal()
    replayedWal.tell(last.manifest?.walRanges ?? [])
    if (target !== undefined) {
      this.#method = chooseMethod(this.#method, pathOf(directories.at(-1) ?? '', 'PG_VERSION'), target.path)
    }
    const bytesTotal = files.reduce((sum, { cost }) => sum + cost, 0)
    return await makeFiles({
      backups: inputs.map(({ member: { directory }, manifest }) => ({
        directory,
        table: manifest && { rows: manifest.table.buffers, index: manifest.table.indexBuffers },
        isCompared: verify && target !== undefined,
      })),
      files,
      target: target && { directory: target.path, fileMode: modes.fileMode },
      backupId: manifest?.backupId,
      algorithm: manifest?.algorithm ?? 'NONE',
      copyMethod: this.#method === 'auto' ? 'copy' : this.#method,
      segmentPages: content.segmentPages,
      pages: content.rules && { content: content.rules, replayedWal: replayedWal.buffer },
      sync: sync && this.#options.syncMethod !== 'syncfs',
      jobs: this.#jobs,
      prestarted,
      onProgress:
        onProgress && ((bytesDone) => onProgress({ bytesDone: Math.min(bytesDone, bytesTotal), bytesTotal })),
      onFile,
      onWarning: (message) => this.#findings.warn({ message }),
      signal,
    })
  }

  #addProblems(): void {
    const { directories } = this.#options
    for (const { backup, problem } of this.#made.problems) {
      const directory = directories[backup] ?? ''
      this.#findings.addProblem(directory, problem)
    }
  }

  async #judgePages({ last }: CombinationPlan): Promise<void> {
    const { directories, signal } = this.#options
    if (this.#made.badPages.length === 0) return
    const directory = directories.at(-1) ?? ''
    this.#pages = await judgePages(
      this.#made.badPages,
      { directory, manifest: last.manifest, control: last.member.control, jobs: this.#jobs, signal },
      (problem) => this.#findings.addProblem(directory, problem),
    )
  }

  async #remove(target: TargetDirectory): Promise<void> {
    for (const message of await target.remove()) this.#findings.warn({ message })
  }

  #report(manifest: CombineReport['manifest']): CombineReport {
    const { directories, output, dryRun = false } = this.#options
    const { totals, blocks } = this.#made
    const { problems, chainProblems, warnings, notChecked, hasProblem } = this.#findings
    this.#leaveFiles()
    return {
      reportVersion: 1,
      ...this.#endRun(),
      directories,
      output,
      isDryRun: dryRun,
      verdict: hasProblem ? 'failed' : dryRun ? 'combinable' : 'combined',
      problems,
      chainProblems,
      warnings,
      notChecked,
      manifest,
      copyMethod: this.#method,
      wholeFiles: totals.wholeFiles,
      reconstructedFiles: totals.reconstructedFiles,
      bytes: totals.bytesWritten,
      bytesRead: totals.bytesRead,
      filesChecked: totals.compared,
      blocks: directories.map((directory, backup) => ({ directory, blocks: blocks[backup] ?? 0 })),
      zeroBlocks: totals.zeroBlocks,
      pages: { checked: totals.pages, ...this.#pages },
      jobs: this.#jobs,
      seconds: this.#clock.seconds(),
    }
  }

  #leaveFiles(): void {
    const { verify = true, dryRun = false } = this.#options
    if (dryRun) this.#findings.leave({ what: 'file-checksums', why: 'files are not read in a dry run' })
    else if (!verify) this.#findings.leave({ what: 'file-checksums', why: 'skipped on request' })
  }
}
