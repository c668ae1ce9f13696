import type { Readable } from 'node:stream'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { isPbManifestError } from '../../errors.js'
import { parseTablespaceMap } from '../../postgres/tablespace-map.js'
import type { VerifyContext } from '../verify-context.js'
import { type FileTotals, noTotals, type VerifiedBackup } from '../verified-backup.js'
import {
  contentRulesOfArchives,
  decideContentOfArchives,
  listUncheckedContent,
} from '../content/decide-content-rules.js'
import { type BackupDirectories, checkNeededDirectories } from '../needed-directories.js'
import { nameEngines } from '../name-engines.js'
import { PagesInQuestion } from '../content/pages-in-question.js'
import type { VerifyOptions } from '../options.js'
import type { VerifyReport } from '../report.js'
import type { OpenedWal } from '../wal/wal-source.js'
import type { Archive, ArchiveContents } from './archive.js'
import { ArchiveResults } from './archive-results.js'
import { ArchiveWalSource, type ArchivedWal } from './archive-wal-source.js'
import { listArchives } from './list-archives.js'
import { readArchives } from './read-archives.js'
import { reportMissingFiles, UnseenFiles } from './unseen-files.js'

/** One archive of a backup, without the others. */
export interface ArchiveStream {
  readonly stream: Readable
  /** What it is called in messages. */
  readonly name: string
  readonly contents: ArchiveContents
}

interface TarBackupOptions {
  readonly directory: string
  readonly options: VerifyOptions
}

/** A backup in tar format. An archive is read when the whole manifest is known. */
export class TarBackup implements VerifiedBackup {
  readonly format = 'tar'
  isPart = false
  readonly #source: TarBackupOptions
  /** `undefined`: all archives in the directory. */
  readonly #stream: ArchiveStream | undefined
  readonly #algorithms = new Set<RealChecksumAlgorithm>()
  #archives: readonly Archive[] = []
  #results: ArchiveResults | undefined

  constructor(source: TarBackupOptions, stream?: ArchiveStream) {
    this.#source = source
    this.#stream = stream
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
    const { clock } = context
    const archives = await clock.time('scan', async () => this.#findArchives(context))
    const results = new ArchiveResults(archives, context)
    this.#archives = archives
    this.#results = results
    await clock.time('checksums', () => this.#read(archives, context, results))
    this.#tellContent(context, results)
    const unseen = new UnseenFiles(archives, results.unread, this.#stream !== undefined)
    const unseenFiles = await reportMissingFiles(context, results, unseen)
    this.isPart = this.#stream !== undefined && unseenFiles > 0
    const isBaseGiven = this.#stream === undefined || this.#stream.contents === 'base'
    if (isBaseGiven) {
      const directories = this.#directories(archives, results)
      await checkNeededDirectories(directories, (pathname) => this.readSmallFile(pathname), context)
    }
  }

  readSmallFile(pathname: string): Buffer | undefined {
    return this.#results?.smallFiles.get(pathname)
  }

  listWal(): readonly string[] {
    return [...new Set(this.#results?.walMembers.map(({ name }) => name))]
  }

  openWal({ options, notChecked, yielder }: VerifyContext): OpenedWal | undefined {
    const wal = archivedWal(this.#source.directory, this.#archives, this.#results)
    // Other archives may have it.
    if (this.#stream !== undefined && this.#stream.contents !== 'pg_wal' && wal.members.length === 0) {
      this.isPart = true
      notChecked.push({ what: 'wal', why: `there is none in archive "${this.#stream.name}"` })
      return undefined
    }
    const source = new ArchiveWalSource(wal, options.partialWal === true, yielder)
    return { source, close: () => source.close() }
  }

  get engines(): VerifyReport['engines'] {
    return nameEngines(this.#results?.engines ?? [])
  }

  async close(): Promise<void> {
    this.#stream?.stream.destroy()
  }

  #directories(archives: readonly Archive[], results: ArchiveResults): BackupDirectories {
    const { directories, unread } = results
    const absent = unread.size > 0 ? 'unknown' : 'absent'
    const ofArchives = archives.flatMap(({ contents }) =>
      typeof contents === 'string' ? [] : [String(contents.tablespaceOid)],
    )
    // The archive of an empty tablespace has nothing that the manifest lists.
    const ofMap = this.#stream === undefined ? tablespacesInMap(this.readSmallFile('tablespace_map')) : []
    const isWalSeen = this.#stream === undefined && this.#isWalWanted
    return {
      presence: (pathname) => {
        if (directories.has(pathname)) return 'directory'
        // It may come into being with an archive that was not read.
        return pathname === 'pg_wal' && !isWalSeen ? 'unknown' : absent
      },
      tablespaces: [...new Set([...ofArchives, ...ofMap])],
      place: this.#stream === undefined ? 'in any archive' : `in archive "${this.#stream.name}"`,
    }
  }

  #tellContent({ options, ignore, notChecked }: VerifyContext, results: ArchiveResults): void {
    const content = decideContentOfArchives(options, ignore, (pathname) => this.readSmallFile(pathname))
    notChecked.push(...listUncheckedContent(options, content))
    results.tellContent(content)
  }

  /** Whether it is looked for in the archives. */
  get #isWalWanted(): boolean {
    const { noParseWal, walDirectory } = this.#source.options
    return noParseWal !== true && walDirectory === undefined
  }

  #findArchives({ ignore, problems }: VerifyContext): Archive[] {
    const stream = this.#stream
    if (stream !== undefined) return [{ ...stream, path: undefined, compression: undefined, size: 0 }]
    const archives = listArchives(this.#source.directory, ignore, problems)
    return this.#isWalWanted ? archives : archives.filter(({ contents }) => contents !== 'pg_wal')
  }

  async #read(archives: readonly Archive[], context: VerifyContext, results: ArchiveResults): Promise<void> {
    const { manifest, options } = context
    const { table } = manifest
    for (let row = 0; row < table.rows && options.skipChecksums !== true; row++) {
      const algorithm = table.algorithm(row)
      if (algorithm !== undefined) this.#algorithms.add(algorithm)
    }
    const size = archives.reduce((sum, archive) => sum + archive.size, 0)
    await readArchives(
      {
        archives,
        algorithms: [...this.#algorithms],
        content: contentRulesOfArchives(options),
        stream: this.#stream?.stream,
        bytesTotal: this.#stream === undefined ? size : manifest.bytes,
      },
      context,
      results,
    )
  }
}

/** The WAL that was met in archives. `base.tar` may have some, but `pg_wal.tar` is unpacked over it. */
function archivedWal(
  directory: string,
  archives: readonly Archive[],
  results: ArchiveResults | undefined,
): ArchivedWal {
  const ofWal = archives.find(({ contents }) => contents === 'pg_wal')
  const ofBase = archives.find(({ contents }) => contents === 'base')
  const unread = [ofWal, ofBase].find((archive) => archive !== undefined && results?.unread.has(archive))
  const members = results?.walMembers ?? []
  const holder = ofWal ?? (members.length > 0 ? ofBase : undefined)
  return {
    place: holder === undefined ? `${directory}/pg_wal.tar` : (holder.path ?? holder.name),
    members: [
      ...members.filter(({ archive }) => archive !== ofWal),
      ...members.filter(({ archive }) => archive === ofWal),
    ],
    failure: unread && `archive "${unread.name}" cannot be read to its end`,
  }
}

/** What is wrong with the map is reported by the checks of it. */
function tablespacesInMap(map: Buffer | undefined): string[] {
  if (map === undefined) return []
  try {
    return parseTablespaceMap(map.toString('utf8'), 'tablespace_map').map(({ oid }) => String(oid))
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    return []
  }
}
