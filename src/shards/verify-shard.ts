import { PbManifestError } from '../errors.js'
import type { Pathname } from '../files/pathname.js'
import type { FileTable } from '../verify/file-table/file-table.js'
import type { StoreOptions } from '../source/store/store-settings.js'
import type { VerifyOptions } from '../verify/options.js'
import type { VerifyReport } from '../verify/report.js'
import type { SharedArchives, VerificationShare } from '../verify/share.js'
import type { ArchiveContents } from '../source/tar/archive.js'
import { verifyShareOfBackup } from '../verify/verify-backup.js'
import type { VerifyFetchedOptions } from '../verify/verify-fetched-backup.js'
import { MAX_SHARDS, planArchives, PlannedDirectories, planRows, type Shard } from './plan-shards.js'
import { ReportFragmentWriter, type ShardFindings, type ShardRun } from './report-fragment.js'

/** A backup in an object store: see `verifyStoredBackup`. */
export interface StoredBackupPlace {
  /** `s3://BUCKET/PREFIX` */
  readonly address: string
  readonly store: StoreOptions
}

/** A backup in tar format that a command gives: see `verifyFetchedBackup`. */
export type FetchedBackupPlace = Pick<VerifyFetchedOptions, 'fetchCommand' | 'fetchTimeoutSeconds'>

/** Which shard to verify, and where its fragment goes. */
export interface VerifyShardOptions
  extends Shard, Omit<VerifyOptions, 'exitOnError' | 'knownChecksums' | 'writtenArchives'> {
  /** The file to write. It appears when the shard was verified to its end, in place of one that is there. */
  readonly output: string
}

/** What a shard came to. Of the backup it says nothing: that is for `mergeReports`. */
export interface VerifyShardResult {
  /** How many problems it found. */
  readonly problems: number
  /** Files whose checksum was compared, and their bytes. */
  readonly filesChecked: number
  readonly bytesChecked: number
}

/**
 * Verifies one shard of a backup, and writes what it finds into a sealed report fragment. The fragments of all shards, whoever
 * verified them and where, make the report of the whole backup: see `mergeReports`.
 *
 * Which files are in a shard follows from the manifest alone: a piece of it of about as many bytes as any other; large files are
 * whole. Of a backup in tar format, archives are divided. The first shard has the cluster and the WAL besides.
 *
 * @param backup - a directory, or where else it is
 * @throws {@link PbManifestError} as `verifyBackup`, `verifyStoredBackup` or `verifyFetchedBackup`; then there is no fragment
 * @example
 * ```ts
 * import { mergeReports, verifyShard } from 'pbmanifest'
 *
 * await verifyShard('/backups/monday', { shard: 1, shards: 2, output: 'monday.1' })
 * await verifyShard('/backups/monday', { shard: 2, shards: 2, output: 'monday.2' })
 * const report = await mergeReports(['monday.1', 'monday.2'])
 * if (report.verdict !== 'verified') throw new Error('the backup cannot be trusted')
 * ```
 */
export async function verifyShard(
  backup: string | StoredBackupPlace | FetchedBackupPlace,
  { shard, shards, output, ...options }: VerifyShardOptions,
): Promise<VerifyShardResult> {
  const isShard = Number.isSafeInteger(shard) && shard >= 1 && Number.isSafeInteger(shards) && shard <= shards
  if (!isShard || shards > MAX_SHARDS) {
    const most = `there are 1 to ${MAX_SHARDS} of them, numbered from 1`
    throw new PbManifestError('USAGE', `there is no shard ${shard}/${shards}: ${most}`)
  }
  const writer = await ReportFragmentWriter.create(output)
  try {
    const share = new ShareOfShard({ shard, shards }, writer.addProblem)
    const report = await verifyShare(share, backup, options)
    await writer.seal(report.warnings, findingsOf(report, share), runOf(report), { shard, shards })
    const { filesChecked, bytesChecked, problemCounts } = report
    const problems = Object.values(problemCounts).reduce((sum, count) => sum + count, 0)
    return { problems, filesChecked, bytesChecked }
  } catch (error) {
    await writer.discard()
    throw error
  }
}

async function verifyShare(
  share: VerificationShare,
  backup: string | StoredBackupPlace | FetchedBackupPlace,
  options: VerifyOptions,
): Promise<VerifyReport> {
  if (typeof backup === 'string') return await verifyShareOfBackup(share, backup, options)
  if ('address' in backup) {
    const { verifyShareOfStoredBackup } = await import('../verify/verify-stored-backup.js')
    return await verifyShareOfStoredBackup(share, backup.address, { ...options, store: backup.store })
  }
  const { format, ...others } = options
  if (format === 'plain')
    throw new PbManifestError('USAGE', 'a backup in plain format cannot come from a fetch command')
  const { verifyShareOfFetchedBackup } = await import('../verify/verify-fetched-backup.js')
  return await verifyShareOfFetchedBackup(share, { ...others, ...backup })
}

/** A shard as its verification knows it. */
class ShareOfShard implements VerificationShare {
  readonly hasCluster: boolean
  readonly onProblem: VerificationShare['onProblem']
  readonly archives: SharedArchives = {
    names: [],
    hasUnread: false,
    directories: [],
    notChecked: [],
    before: 0,
  }
  readonly #shard: Shard
  listing: string | undefined
  #rows = { first: 0, end: 0 }
  #directories: PlannedDirectories | undefined
  #archiveOf: (contents: ArchiveContents) => number = () => 1
  #table: FileTable | undefined

  constructor(shard: Shard, onProblem: VerificationShare['onProblem']) {
    this.#shard = shard
    this.onProblem = onProblem
    this.hasCluster = shard.shard === 1
  }

  readonly onListing = (digest: string): void => {
    this.listing = digest
  }

  begin(table: FileTable): void {
    this.#table = table
    this.#rows = planRows(this.#files(table), this.#shard)
  }

  ownsRow(row: number): boolean {
    return row >= this.#rows.first && row < this.#rows.end
  }

  ownsDirectory(directory: Pathname): boolean {
    return this.#plannedDirectories().owns(directory)
  }

  entersDirectory(directory: Pathname): boolean {
    return this.#plannedDirectories().enters(directory)
  }

  ownsArchive(contents: ArchiveContents): boolean {
    if (this.#table !== undefined) {
      this.#archiveOf = planArchives(this.#files(this.#table), this.#shard.shards)
      this.#table = undefined
    }
    return this.#archiveOf(contents) === this.#shard.shard
  }

  /** Made when they are first asked for: archives have no use for them. */
  #plannedDirectories(): PlannedDirectories {
    if (this.#directories === undefined) {
      if (this.#table === undefined) throw new TypeError('the manifest is not known yet')
      this.#directories = new PlannedDirectories(this.#files(this.#table), this.#rows, this.hasCluster)
    }
    return this.#directories
  }

  #files(table: FileTable): Parameters<typeof planRows>[0] {
    return {
      rows: table.rows,
      size: (row) => table.size(row),
      pathname: (row) => table.pathname(row),
    }
  }
}

function findingsOf(report: VerifyReport, { archives, listing }: ShareOfShard): ShardFindings {
  const { format, backup, signature, checksumsFrom, filesChecked, bytesChecked } = report
  const { pages, walRecords, walBytes, notChecked, options, verdict } = report
  const { ignore, skipChecksums, pageChecksums, noParseWal, partialWal, allowedSigners } = options
  const { path: _, ...manifest } = report.manifest
  const hasToBeSigned = allowedSigners !== undefined
  return {
    format,
    backup,
    manifest,
    ...(signature !== undefined && { signature }),
    checksumsFrom,
    filesChecked,
    bytesChecked,
    pages,
    walRecords,
    walBytes,
    notChecked,
    asked: { ignore, skipChecksums, pageChecksums, noParseWal, partialWal, hasToBeSigned },
    isPartial: verdict === 'partial',
    ...(format === 'tar' && { archives }),
    ...(listing !== undefined && { listing }),
  }
}

function runOf(report: VerifyReport): ShardRun {
  const { pbmanifestVersion, host, startedAt, endedAt, directory, path, options, engines, seconds } = report
  const manifestPath = report.manifest.path
  return {
    pbmanifestVersion,
    host,
    startedAt,
    endedAt,
    directory,
    path,
    manifestPath,
    options,
    engines,
    seconds,
  }
}
