import { PbManifestError } from '../../../errors.js'
import { comparePathnames, type Pathname } from '../../../files/pathname.js'
import { ownPathname, requireSafePathname, type SafePathname } from '../../../files/safe-pathname.js'
import { CONTROL_FILE, isNameOfPostgres } from '../../../postgres/data-directory.js'
import { parseLsn } from '../../../postgres/lsn.js'
import { parseWalFileName } from '../../../postgres/wal-segment.js'
import { type WalSummary, walSummaryName } from '../../../postgres/wal-summary/summary-file.js'
import type {
  ClusterFile,
  ClusterFiles,
  FileEvent,
  ListFilesOptions,
  ReadWalSummary,
  RequestedBlocks,
  RequestedFile,
  Tablespace,
  WalFile,
} from '../cluster-files.js'
import { type ClusterPlaces, readClusterPlaces } from './cluster-places.js'
import { copiedValue } from './copied-rows.js'
import type { ConnectionRetries } from '../../connection/lost-connection.js'
import { directoryLister, listFilesBelow, listForeignNames } from './list-files.js'
import { pathArray } from './path-expressions.js'
import { readBlocks } from './read-blocks.js'
import { copyControlFile, readFiles } from './read-files.js'
import { RenewableConnection } from './renewable-connection.js'
import type { Connect } from './sql-connection.js'

const PAGE_BYTES = 8192

/** How large a WAL summary is, about: it is only known when it is read. */
const ABOUT_A_SUMMARY = 64 * 1024

/** Finds the links and special files of the data directory, when there are entries of these names that may be some. */
type FindSpecialFiles = (suspects: readonly Pathname[]) => Promise<ReadonlySet<Pathname> | undefined>

interface SqlClusterFilesOptions {
  /** What is asked before files are listed, once; without it all that SQL sees is listed. */
  readonly findSpecialFiles?: FindSpecialFiles
  /** What is done when a connection is lost; by default that is final. */
  readonly retries?: ConnectionRetries | undefined
}

/** The files of a running server of PostgreSQL 13 or newer, by its SQL functions. */
export class SqlClusterFiles implements ClusterFiles {
  readonly #connect: Connect
  readonly #connection: RenewableConnection
  /** Reads pages while the other is in the middle of a file; made when the first page has to be read again. */
  #second: Promise<RenewableConnection> | undefined
  #places: Promise<ClusterPlaces> | undefined
  readonly #findSpecialFiles: FindSpecialFiles | undefined
  readonly #retries: ConnectionRetries | undefined
  #specialFiles: Promise<ReadonlySet<Pathname>> | undefined

  private constructor(
    connect: Connect,
    connection: RenewableConnection,
    { findSpecialFiles, retries }: SqlClusterFilesOptions,
  ) {
    this.#connect = connect
    this.#connection = connection
    this.#findSpecialFiles = findSpecialFiles
    this.#retries = retries
  }

  /** @throws {@link PbManifestError} `SERVER` */
  static async open(connect: Connect, options: SqlClusterFilesOptions = {}): Promise<SqlClusterFiles> {
    return new SqlClusterFiles(connect, await RenewableConnection.open(connect, options.retries), options)
  }

  async listTablespaces(options: { readonly withSizes: boolean }): Promise<readonly Tablespace[]> {
    // Again each time: one that was made since must not be missed.
    this.#places = undefined
    const { tablespaces } = await this.#readPlaces()
    const listed: Tablespace[] = []
    for (const { oid, location } of [...tablespaces, { oid: undefined, location: '' }]) {
      const bytes = options.withSizes ? await this.#sizeOf(oid) : undefined
      listed.push({ oid, location, bytes })
    }
    return listed
  }

  async listFiles(
    tablespaceOid: number | undefined,
    { onSpecialFile }: ListFilesOptions = {},
  ): Promise<readonly ClusterFile[]> {
    const { layout, tablespaces } = await this.#readPlaces()
    if (tablespaceOid !== undefined && !tablespaces.some(({ oid }) => oid === tablespaceOid)) {
      throw new PbManifestError('SERVER', `there is no tablespace with OID ${String(tablespaceOid)}`)
    }
    if (tablespaceOid !== undefined) {
      const directory = ownPathname(`pg_tblspc/${String(tablespaceOid)}`)
      return await this.#connection.ask((connection) =>
        listFilesBelow(directoryLister(connection), directory, layout),
      )
    }
    this.#specialFiles ??= this.#readSpecialFiles()
    const specialFiles = await this.#specialFiles
    const listed = await this.#connection.ask((connection) =>
      listFilesBelow(directoryLister(connection), '', layout, specialFiles),
    )
    for (const pathname of specialFiles) onSpecialFile?.(pathname)
    return listed
  }

  async hasTablespaceDirectory(tablespaceOid: number): Promise<boolean> {
    const { layout } = await this.#readPlaces()
    const path = pathArray([`pg_tblspc/${String(tablespaceOid)}/${layout.tablespaceDirectory}`])
    // Where there is no such directory, nothing is listed; where it cannot be opened, the server says so.
    const query = `
      SELECT FROM pg_catalog.unnest(${path}) AS path, LATERAL pg_catalog.pg_stat_file(path, true)
       WHERE isdir AND (SELECT pg_catalog.count(*) FROM pg_catalog.pg_ls_dir(path, true, false)) >= 0`
    const rows = await this.#connection.ask((connection) => connection.rows(query))
    return rows.length > 0
  }

  async listWalFiles(): Promise<readonly WalFile[]> {
    // Compared by bytes, as names of segments are to be ordered in any language.
    const query = `SELECT name, size::text FROM pg_catalog.pg_ls_waldir() ORDER BY name COLLATE pg_catalog."C"`
    const rows = await this.#connection.ask((connection) =>
      connection.rows<{ name: string; size: string }>(query),
    )
    return rows.flatMap((row) => {
      const name = parseWalFileName(row.name)
      return name === undefined ? [] : [{ name, size: Number(row.size) }]
    })
  }

  async *read(
    files: readonly RequestedFile[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<FileEvent, void, undefined> {
    for (const { pathname } of files) requireSafe(pathname)
    let from = 0
    for (const [place, file] of files.entries()) {
      if (file.pathname !== CONTROL_FILE) continue
      yield* readFiles(this.#connection, files.slice(from, place), signal)
      yield* copyControlFile(this.#connection, file, signal)
      from = place + 1
    }
    yield* readFiles(this.#connection, files.slice(from), signal)
  }

  async *readBlocks(
    files: readonly RequestedBlocks[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<FileEvent, void, undefined> {
    for (const { pathname } of files) requireSafe(pathname)
    yield* readBlocks(this.#connection, files, signal)
  }

  async listWalSummaries(): Promise<readonly WalSummary[]> {
    const query =
      'SELECT tli::text, start_lsn::text, end_lsn::text FROM pg_catalog.pg_available_wal_summaries()'
    const rows = await this.#connection.ask((connection) =>
      connection.rows<{ tli: string; start_lsn: string; end_lsn: string }>(query),
    )
    return rows.map((row) => ({
      timeline: Number(row.tli),
      startLsn: lsnOf(row.start_lsn),
      endLsn: lsnOf(row.end_lsn),
    }))
  }

  /**
   * Their bytes: pg_wal_summary_contents would make a row of each block, and take 40 times as long (3.6 MB of summaries: 407 ms, and 11 ms). They
   * are small, and there may be hundreds, so many come by one query.
   */
  async *readWalSummaries(
    summaries: readonly WalSummary[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ReadWalSummary, void, undefined> {
    const files = summaries.map((summary) => ({
      pathname: `pg_wal/summaries/${walSummaryName(summary)}`,
      size: ABOUT_A_SUMMARY,
    }))
    const left = summaries.values()
    let pieces: Buffer[] = []
    for await (const event of readFiles(this.#connection, files, signal)) {
      switch (event.type) {
        case 'file':
          break
        case 'bytes':
          pieces.push(Buffer.from(event.bytes))
          break
        case 'vanished':
          throw noSummary(event.pathname)
        case 'end': {
          const { value: summary } = left.next()
          if (summary !== undefined) yield { summary, bytes: Buffer.concat(pieces) }
          pieces = []
          break
        }
        default:
          event satisfies never
      }
    }
  }

  async rereadPage(pathname: Pathname, offset: number): Promise<Buffer | undefined> {
    requireSafe(pathname)
    const query = `
      SELECT pg_catalog.pg_read_binary_file(path, ${String(offset)}, ${String(PAGE_BYTES)}, true)
        FROM pg_catalog.unnest(${pathArray([pathname])}) AS path`
    const second = await this.#openSecond()
    const page = await second.ask((connection) => copiedValue(connection, query))
    return page.length === PAGE_BYTES ? page : undefined
  }

  async hasDataChecksums(): Promise<boolean> {
    const second = await this.#openSecond()
    const query = `SELECT pg_catalog.current_setting('data_checksums') AS state`
    const [row] = await second.ask((connection) => connection.rows<{ state: string }>(query))
    return row?.state === 'on'
  }

  async close(): Promise<void> {
    const second = await this.#second?.catch(() => {})
    await Promise.all([this.#connection.close(), second?.close()])
  }

  #openSecond(): Promise<RenewableConnection> {
    this.#second ??= RenewableConnection.open(this.#connect, this.#retries)
    return this.#second
  }

  #readPlaces(): Promise<ClusterPlaces> {
    this.#places ??= this.#connection.ask(readClusterPlaces)
    return this.#places
  }

  /** Of those names that are not PostgreSQL's own: without what is PostgreSQL's, a backup would be none. */
  async #readSpecialFiles(): Promise<ReadonlySet<Pathname>> {
    if (this.#findSpecialFiles === undefined) return new Set()
    const suspects = await this.#connection.ask(listForeignNames)
    if (suspects.length === 0) return new Set()
    const found = [...((await this.#findSpecialFiles(suspects)) ?? [])].toSorted(comparePathnames)
    return new Set(found.filter((pathname) => !isNameOfPostgres(pathname.split('/', 1)[0] ?? '')))
  }

  async #sizeOf(tablespaceOid: number | undefined): Promise<number> {
    const files = await this.listFiles(tablespaceOid)
    return files.reduce((sum, file) => sum + file.size, 0)
  }
}

/** A role with pg_read_server_files could read any file of the server's machine. */
function requireSafe(pathname: Pathname): SafePathname {
  return requireSafePathname(pathname, (message) => new PbManifestError('USAGE', message))
}

function lsnOf(text: string): bigint {
  const lsn = parseLsn(text)
  if (lsn === undefined) throw new PbManifestError('SERVER', `"${text}" of the server is no LSN`)
  return lsn
}

function noSummary(pathname: Pathname): PbManifestError {
  return new PbManifestError('SERVER', `could not open file "${pathname}": it was removed meanwhile`)
}
