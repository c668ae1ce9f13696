import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { isPbManifestError } from '../../errors.js'
import { parseTablespaceMap } from '../../postgres/tablespace-map.js'
import { unheard, type VerifyContext } from '../verify-context.js'
import { type FileTotals, noTotals, type VerifiedBackup } from '../verified-backup.js'
import {
  contentRulesOfArchives,
  decideContentOfArchives,
  listUncheckedContent,
} from '../content/decide-content-rules.js'
import { type BackupDirectories, checkNeededDirectories } from '../needed-directories.js'
import { nameEngines } from '../make-report.js'
import { PagesInQuestion } from '../content/pages-in-question.js'
import type { VerifyOptions } from '../options.js'
import type { VerifyReport } from '../report.js'
import type { SharedArchives } from '../share.js'
import type { OpenedWal } from '../wal/wal-source.js'
import { type Archive, type ArchiveContents, pathnamePrefix } from '../../source/tar/archive.js'
import { type ArchivePlace, remoteArchive as archiveOf } from '../../source/tar/archive-place.js'
import { tablespacesIn } from '../file-table/file-table.js'
import { ArchiveResults, reportMissingFiles, UnseenFiles } from './archive-results.js'
import { archivedWal, ArchiveWalSource } from './archive-wal-source.js'
import { bytesIn, listArchives, requireOwn, whichAreIn } from './list-archives.js'
import { readArchives } from './read-archives.js'

interface TarBackupOptions {
  /** As it is shown, where the archives have a place. */
  readonly directory: string
  readonly options: VerifyOptions
  /** `undefined`: in the directory. */
  readonly place?: ArchivePlace
  /** Is told when the archives of a place are looked for: it may know what else is there. */
  readonly onScan?: (context: VerifyContext) => void
  /** The only archive that there is of the backup. `undefined`: all are there. */
  readonly only?: ArchiveContents
}

/** A backup in tar format. An archive is read when the whole manifest is known. */
export class TarBackup implements VerifiedBackup {
  readonly format = 'tar'
  isPart = false
  readonly #source: TarBackupOptions
  readonly #algorithms = new Set<RealChecksumAlgorithm>()
  /** Those that were read. */
  #archives: readonly Archive[] = []
  #results: ArchiveResults | undefined
  /** Where the small files and the WAL are: of one share of a backup, in archives that are not its own. */
  #frame: { readonly archives: readonly Archive[]; readonly results: ArchiveResults } | undefined

  constructor(source: TarBackupOptions) {
    this.#source = source
  }

  get totals(): FileTotals {
    return this.#results?.totals ?? noTotals
  }

  get pages(): PagesInQuestion {
    return this.#results?.pages ?? new PagesInQuestion()
  }

  expect(): void {
    // Where in the archives the files are is not known, so nothing can begin.
  }

  async compare(context: VerifyContext): Promise<void> {
    const { clock, share } = context
    const { only, place } = this.#source
    const isOthers = share?.hasCluster === false
    const all = await clock.time('scan', async () =>
      this.#findArchives(isOthers ? unheard(context) : context),
    )
    const archives = share === undefined ? all : all.filter(({ contents }) => share.ownsArchive(contents))
    // Those of a place get another one when they are read, and more come to them.
    const names = all.map(({ name, size }) => [name, size] as const)
    const results = new ArchiveResults(context)
    this.#archives = all
    this.#results = results
    await clock.time('checksums', () => this.#read(archives, context, results, all))
    this.#frame = { archives, results }
    if (place !== undefined && only === undefined && !isOthers) {
      const more = this.#archivesInMap()
      await clock.time('checksums', () => this.#read(more, context, results))
      all.push(...more)
    }
    if (isOthers) await this.#readFrame(all, context, results)
    else this.#tellContent(context, results)
    const unseen = new UnseenFiles(all, results.unread, only !== undefined)
    const isOwn = share && whichAreIn(archives, all, share.hasCluster)
    const unseenFiles = await reportMissingFiles(context, results, unseen, isOwn)
    this.isPart = only !== undefined && unseenFiles > 0
    if (share !== undefined && isOwn !== undefined) {
      await requireOwn(isOwn, context, results)
      Object.assign(share.archives, {
        names,
        hasUnread: results.unread.size > 0,
        directories: [...results.directories],
      } satisfies Partial<SharedArchives>)
    }
    if ((only === undefined || only === 'base') && !isOthers) {
      const directories = this.#directories(all, results)
      await checkNeededDirectories(directories, (pathname) => this.readSmallFile(pathname), context)
    }
  }

  readSmallFile(pathname: string): Buffer | undefined {
    return this.#frame?.results.smallFiles.get(pathname)
  }

  listWal(): readonly string[] {
    return [...new Set(this.#frame?.results.walMembers.map(({ name }) => name))]
  }

  openWal({ options, notChecked, yielder }: VerifyContext): OpenedWal | undefined {
    const { only, directory, place } = this.#source
    const wal = archivedWal(place === undefined ? `${directory}/` : '', this.#archives, this.#frame?.results)
    // Other archives may have it.
    if (only !== undefined && only !== 'pg_wal' && wal.members.length === 0) {
      this.isPart = true
      notChecked.push({ what: 'wal', why: `there is none in archive "${archiveOf(only).name}"` })
      return undefined
    }
    const source = new ArchiveWalSource(wal, {
      usePartial: options.partialWal === true,
      yielder,
      place,
      signal: options.signal,
    })
    return { source, close: () => source.close() }
  }

  get engines(): VerifyReport['engines'] {
    return nameEngines(this.#results?.engines ?? [])
  }

  async close(): Promise<void> {
    // Nothing is open between the steps.
  }

  #directories(archives: readonly Archive[], results: ArchiveResults): BackupDirectories {
    const { directories, unread } = results
    const absent = unread.size > 0 ? 'unknown' : 'absent'
    const ofArchives = archives.flatMap(({ contents }) =>
      typeof contents === 'string' ? [] : [String(contents.tablespaceOid)],
    )
    // The archive of an empty tablespace has nothing that the manifest lists.
    const { only } = this.#source
    const ofMap = only === undefined ? tablespacesInMap(this.readSmallFile('tablespace_map')) : []
    const isWalSeen = only === undefined && this.#isWalWanted
    return {
      presence: (pathname) => {
        if (directories.has(pathname)) return 'directory'
        // It may come into being with an archive that was not read.
        return pathname === 'pg_wal' && !isWalSeen ? 'unknown' : absent
      },
      tablespaces: [...new Set([...ofArchives, ...ofMap.map(String)])],
      isOfArchives: true,
      place: only === undefined ? 'in any archive' : `in archive "${archiveOf(only).name}"`,
    }
  }

  #tellContent({ options, ignore, notChecked, share }: VerifyContext, results: ArchiveResults): void {
    const content = decideContentOfArchives(options, ignore, (pathname) => this.readSmallFile(pathname))
    notChecked.push(...listUncheckedContent(options, content))
    if (share !== undefined) {
      share.archives.countsPages = content.rules?.hasPageChecksums === true
      share.archives.before = notChecked.length
    }
    results.tellContent(content)
  }

  /**
   * Reads the archives of another share that say what counts of what was found in this share's, if anything was: the data
   * directory and the WAL. What is wrong with them is the other's to report.
   */
  async #readFrame(all: readonly Archive[], context: VerifyContext, results: ArchiveResults): Promise<void> {
    results.countPages()
    if (!results.hasContent) return
    const archives = all.filter(({ contents }) => contents === 'base' || contents === 'pg_wal')
    const { onProgress: _, ...options } = context.options
    const quiet = { ...unheard(context), options, share: undefined }
    const frame = new ArchiveResults(quiet)
    await this.#read(archives, quiet, frame)
    this.#frame = { archives, results: frame }
    const { ignore } = context
    results.tellContent(decideContentOfArchives(options, ignore, (pathname) => this.readSmallFile(pathname)))
  }

  /** Takes the word of whoever wrote the archives. @returns those that have to be read */
  async #leaveWritten(
    archives: readonly Archive[],
    all: readonly Archive[],
    context: VerifyContext,
    results: ArchiveResults,
    algorithms: readonly RealChecksumAlgorithm[],
  ): Promise<readonly Archive[]> {
    const { writtenArchives, knownChecksums: checksums, skipChecksums } = this.#source.options
    if (writtenArchives === undefined || checksums === undefined || skipChecksums === true) return archives
    const { checkWrittenArchive } = await import('./written-archive.js')
    const writing = { archives: writtenArchives, checksums }
    const left: Archive[] = []
    for (const archive of archives) {
      const summary = await checkWrittenArchive(archive, writing, context, algorithms)
      if (summary === undefined) left.push(archive)
      else results.accept({ type: 'archive end', task: results.add([archive], all), summary })
    }
    return left
  }

  /** Whether it is looked for in the archives. */
  get #isWalWanted(): boolean {
    const { noParseWal, walDirectory } = this.#source.options
    return noParseWal !== true && walDirectory === undefined
  }

  #findArchives(context: VerifyContext): Archive[] {
    const { place, only, directory, onScan } = this.#source
    const { manifest, ignore, problems } = context
    onScan?.(context)
    if (only !== undefined) return [archiveOf(only)]
    const archives =
      place === undefined
        ? listArchives(directory, ignore, problems)
        : [archiveOf('base'), ...tablespacesIn(manifest.table).map(archiveOf), archiveOf('pg_wal')]
    return this.#isWalWanted ? archives : archives.filter(({ contents }) => contents !== 'pg_wal')
  }

  /** Those of tablespaces in which the manifest has no files. */
  #archivesInMap(): Archive[] {
    const known = new Set(this.#archives.map(({ contents }) => pathnamePrefix(contents)))
    return tablespacesInMap(this.readSmallFile('tablespace_map'))
      .map((tablespaceOid) => archiveOf({ tablespaceOid }))
      .filter(({ contents }) => !known.has(pathnamePrefix(contents)))
  }

  async #read(
    archives: readonly Archive[],
    context: VerifyContext,
    results: ArchiveResults,
    all: readonly Archive[] = archives,
  ): Promise<void> {
    const { manifest, options, share } = context
    const { place } = this.#source
    const { table } = manifest
    for (let row = 0; row < table.rows && options.skipChecksums !== true; row++) {
      const algorithm = table.algorithm(row)
      if (algorithm !== undefined) this.#algorithms.add(algorithm)
    }
    const algorithms = [...this.#algorithms]
    const read = await this.#leaveWritten(archives, all, context, results, algorithms)
    const bytesTotal =
      place === undefined
        ? read.reduce((sum, archive) => sum + archive.size, 0)
        : share === undefined
          ? manifest.bytes
          : bytesIn(archives, table)
    await readArchives(
      {
        archives: read,
        all,
        // Of WAL, records are checked, and nothing else was left.
        algorithms: read.some(({ contents }) => contents !== 'pg_wal') ? algorithms : [],
        content: contentRulesOfArchives(options),
        place,
        bytesTotal,
      },
      context,
      results,
    )
  }
}

/** What is wrong with the map is reported by the checks of it. */
function tablespacesInMap(map: Buffer | undefined): number[] {
  if (map === undefined) return []
  try {
    return parseTablespaceMap(map.toString('utf8'), 'tablespace_map').map(({ oid }) => oid)
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    return []
  }
}
