import { opendirSync } from 'node:fs'
import { Yielder } from '../../../files/yielder.js'
import type { Pathname } from '../../../files/pathname.js'
import { requireSmallFile } from '../../../files/read-small-file.js'
import { ioError, isNotThere } from '../../../files/system-error.js'
import { readControlFile, readControlFileWhileWritten } from '../../../manifest/data-directory-files.js'
import type { ClusterLayout } from '../../../manifest/contents/select-entries.js'
import { readClusterLayout } from '../../../manifest/contents/walk-backup.js'
import { CHECKSUMS_ON } from '../../../postgres/control-file.js'
import { PAGE_SIZE } from '../../../postgres/data-page/page-layout.js'
import { type WalSummary, walSummaryName } from '../../../postgres/wal-summary/summary-file.js'
import { RefusedError } from '../../commands/refused-error.js'
import type {
  ClusterFile,
  ClusterFiles,
  FileEvent,
  ReadWalSummary,
  RequestedBlocks,
  RequestedFile,
  ListFilesOptions,
  ListTablespacesOptions,
  Tablespace,
  WalFile,
} from '../cluster-files.js'
import {
  listLocalFiles,
  listLocalTablespaces,
  listLocalWalFiles,
  listLocalWalSummaries,
  WAL_SUMMARIES,
} from './list-local-files.js'
import { LocalPathnames } from './local-pathnames.js'
import { readLocalBlocks, readLocalFiles, readLocalPage } from './read-local-files.js'

/** More is no summary: a bit for each block of a cluster has less. */
const MAX_SUMMARY_BYTES = 2 ** 30

/** A cluster's files from its data directory, which is on this machine; a server may be running on it. */
export class LocalClusterFiles implements ClusterFiles {
  readonly #directory: string
  readonly #layout: ClusterLayout
  readonly #pathnames: LocalPathnames

  private constructor(directory: string, layout: ClusterLayout) {
    this.#directory = directory
    this.#layout = layout
    this.#pathnames = new LocalPathnames(directory, layout)
  }

  /**
   * Looks what kind of cluster is in the directory.
   *
   * @throws {@link PbManifestError} `IO`, or `BAD_FILE` when its pg_control is damaged
   */
  static async open(directory: string): Promise<LocalClusterFiles> {
    const layout = await readControlFileWhileWritten(() => readClusterLayout(directory))
    return new LocalClusterFiles(directory, layout)
  }

  async listTablespaces({ withSizes, signal }: ListTablespacesOptions): Promise<readonly Tablespace[]> {
    const tablespaces: Tablespace[] = []
    for (const tablespace of listLocalTablespaces(this.#directory)) {
      const bytes = withSizes
        ? totalSize(await this.listFiles(tablespace.oid, signal === undefined ? {} : { signal }))
        : undefined
      tablespaces.push({ ...tablespace, bytes })
    }
    return tablespaces
  }

  async listFiles(
    tablespaceOid: number | undefined,
    { signal, onSpecialFile }: ListFilesOptions = {},
  ): Promise<readonly ClusterFile[]> {
    const yielder = new Yielder(signal)
    if (tablespaceOid !== undefined) this.#requireTablespace(tablespaceOid)
    return await listLocalFiles(this.#directory, this.#layout, tablespaceOid, yielder, onSpecialFile)
  }

  #requireTablespace(oid: number): void {
    if (listLocalTablespaces(this.#directory).some((tablespace) => tablespace.oid === oid)) return
    throw new RefusedError('unknown-object', `there is no tablespace with OID ${oid}`)
  }

  async hasTablespaceDirectory(tablespaceOid: number): Promise<boolean> {
    const { tablespaceDirectory } = this.#layout
    const link = `pg_tblspc/${tablespaceOid}`
    const path = tablespaceDirectory === undefined ? link : `${link}/${tablespaceDirectory}`
    return await Promise.resolve(isListable(this.#directory, path))
  }

  async listWalFiles(): Promise<readonly WalFile[]> {
    return await Promise.resolve(listLocalWalFiles(this.#directory))
  }

  read(files: readonly RequestedFile[], signal: AbortSignal | undefined): AsyncIterable<FileEvent> {
    return readLocalFiles(files, this.#pathnames, signal)
  }

  readBlocks(files: readonly RequestedBlocks[], signal: AbortSignal | undefined): AsyncIterable<FileEvent> {
    return readLocalBlocks(files, this.#pathnames, signal)
  }

  async listWalSummaries(): Promise<readonly WalSummary[]> {
    return await Promise.resolve(listLocalWalSummaries(this.#directory))
  }

  async *readWalSummaries(summaries: readonly WalSummary[]): AsyncGenerator<ReadWalSummary, void, undefined> {
    for (const summary of summaries) {
      const path = `${this.#directory}/${WAL_SUMMARIES}/${walSummaryName(summary)}`
      yield await Promise.resolve({ summary, bytes: requireSmallFile(path, MAX_SUMMARY_BYTES) })
    }
  }

  async rereadPage(pathname: Pathname, offset: number): Promise<Buffer | undefined> {
    return await Promise.resolve(readLocalPage(pathname, this.#pathnames, offset, PAGE_SIZE))
  }

  async hasDataChecksums(): Promise<boolean> {
    const control = await readControlFileWhileWritten(() => readControlFile(this.#directory))
    return control?.dataChecksumVersion === CHECKSUMS_ON
  }

  async close(): Promise<void> {
    await Promise.resolve()
  }
}

function isListable(directory: string, pathname: Pathname): boolean {
  try {
    opendirSync(`${directory}/${pathname}`).closeSync()
    return true
  } catch (error) {
    if (isNotThere(error)) return false
    throw ioError(`could not open directory "${directory}/${pathname}"`, error)
  }
}

function totalSize(files: readonly ClusterFile[]): number {
  return files.reduce((total, { size }) => total + size, 0)
}
