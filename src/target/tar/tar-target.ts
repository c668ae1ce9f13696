import { join } from 'node:path'
import { type SyncMethod, writeNewFile } from '../../files/durable-file.js'
import type { Pathname } from '../../files/pathname.js'
import type { SafePathname } from '../../files/safe-pathname.js'
import { TAR_TRAILER, type MemberHeader } from '../../files/tar/tar-header.js'
import { UNFINISHED_MANIFEST } from '../../manifest/contents/made-by-backup.js'
import { BACKUP_LABEL, TABLESPACE_MAP } from '../../postgres/data-directory.js'
import type { BackupTarget, FilePlace, TargetContents, TargetEntry } from '../backup-target.js'
import type { FileSink, WalFiles } from '../file-sink.js'
import { publishManifest } from '../directory-target.js'
import { SETTINGS_FILE, SIGNAL_FILE } from '../recovery-settings.js'
import type { TargetDirectory, TargetTablespace } from '../target-directory.js'
import { ArchiveFile, type Reservation } from './archive-file.js'
import { ArchiveEnds, MemberPlaces, type TarPlace } from './tar-place.js'
import {
  archiveName,
  archivesOf,
  directoryMember,
  fetchedWal,
  madeHere,
  oidsOf,
  type TarSetOptions,
} from './tar-set.js'
import { TarSink } from './tar-sink.js'
import { WalArchive } from './wal-archive.js'

/**
 * A backup in tar format: `base.tar`, an `OID.tar` for each tablespace, `pg_wal.tar` for WAL that is streamed, and the manifest beside
 * them. Members stand in the order of a server's base backup as far as it matters: `backup_label` first, directories before what is
 * in them, `pg_control` after all else, and then WAL that was fetched.
 *
 * @see src/backend/backup/basebackup.c (`perform_base_backup`)
 */
export class TarTarget implements BackupTarget {
  readonly path: string
  readonly tablespaces: readonly TargetTablespace[]
  readonly files: FilePlace & TarPlace
  readonly wal: WalFiles
  readonly hasTablespaceMap = true
  readonly #directory: TargetDirectory
  readonly #options: TarSetOptions
  readonly #ends: ArchiveEnds
  readonly #places: MemberPlaces
  readonly #walArchive: WalArchive | undefined
  #archives: readonly ArchiveFile[] = []
  readonly #reserved = new Map<string, Reservation>()

  /** @param directory - claimed, without tablespaces */
  constructor(directory: TargetDirectory, options: TarSetOptions) {
    const { fileMode, sync, tablespaces, recoverySettings: settings } = options
    const { path } = directory
    this.path = path
    const archives = archivesOf(tablespaces, 'none')
    this.tablespaces = oidsOf(tablespaces).map((oid) => ({
      oid,
      location: join(path, archiveName(oid, 'none')),
    }))
    const recoverySettings = settings === undefined ? undefined : Buffer.from(settings)
    const memory = ArchiveEnds.allocate(archives.length)
    this.files = { kind: 'tar', directory: path, archives, memory, recoverySettings }
    this.#directory = directory
    this.#options = options
    this.#ends = new ArchiveEnds(memory)
    this.#places = new MemberPlaces(this.files)
    this.#walArchive = options.streamsWal
      ? new WalArchive({ path: join(path, 'pg_wal.tar'), fileMode, sync })
      : undefined
    this.wal = this.#walArchive ?? fetchedWal(async (name) => await this.#base.add(this.#madeHere(name)))
  }

  get archiveSizes(): ReadonlyMap<string, number> {
    return new Map(
      this.files.archives.map(({ name }, index) => [name, this.#ends.end(index) + TAR_TRAILER.length]),
    )
  }

  shownPath(pathname: Pathname): string {
    return this.#places.pathOf(this.#places.of(pathname).archive)
  }

  async mark(backupId: string): Promise<void> {
    await this.#directory.mark(backupId)
  }

  async begin({ directories, backupLabelBytes, tablespaceMapBytes }: TargetContents): Promise<void> {
    const archives: ArchiveFile[] = []
    this.#archives = archives
    for (const [index] of this.files.archives.entries()) {
      const path = this.#places.pathOf(index)
      archives.push(await ArchiveFile.create(path, this.#options.fileMode, this.#ends, index))
    }
    this.#reserved.set(BACKUP_LABEL, this.#base.reserve(backupLabelBytes))
    this.#reserved.set(TABLESPACE_MAP, this.#base.reserve(tablespaceMapBytes))
    for (const directory of directories) await this.#addDirectory(directory)
  }

  async addFile(pathname: SafePathname, content: Buffer): Promise<void> {
    const member = this.#madeHere(pathname)
    const reservation = this.#reserved.get(pathname)
    const filler = { ...member, name: 'pg_tblspc', kind: 'directory', mode: this.#directoryMode } as const
    if (reservation === undefined) await this.#base.add(member, content)
    else await this.#base.fill(reservation, member, content, filler)
  }

  async addManifest(chunks: AsyncIterable<Buffer>): Promise<number> {
    const { fileMode: mode, sync } = this.#options
    return await writeNewFile(join(this.path, UNFINISHED_MANIFEST), chunks, { mode, sync })
  }

  openSink(): FileSink {
    return new TarSink(this.files)
  }

  async complete({ sync }: { readonly sync: SyncMethod | undefined }): Promise<void> {
    const { recoverySettings: settings } = this.#options
    if (settings !== undefined) {
      if (!this.#ends.notes.has(SETTINGS_FILE))
        await this.#base.add(this.#madeHere(SETTINGS_FILE), Buffer.from(settings))
      if (!this.#ends.notes.has(SIGNAL_FILE)) await this.#base.add(this.#madeHere(SIGNAL_FILE))
    }
    for (const archive of this.#archives) await archive.end({ sync: sync === 'fsync' })
    this.#archives = []
    await this.#walArchive?.end()
    await this.#directory.complete({ sync })
  }

  async publish({ sync }: { readonly sync: boolean }): Promise<string> {
    return await publishManifest(this.path, { sync })
  }

  async abandon(): Promise<void> {
    for (const archive of this.#archives) await archive.abandon()
    await this.#walArchive?.abandon()
  }

  async remove(): Promise<readonly string[]> {
    return await this.#directory.remove()
  }

  get #base(): ArchiveFile {
    const base = this.#archives.at(-1)
    if (base === undefined) throw new Error('there are no archives')
    return base
  }

  get #directoryMode(): number {
    return this.#options.fileMode === 0o640 ? 0o750 : 0o700
  }

  async #addDirectory(directory: TargetEntry): Promise<void> {
    const place = directoryMember(directory, this.#places)
    if (place !== undefined) await this.#archives[place.archive]?.add(place.member)
  }

  #madeHere(name: string): Omit<MemberHeader, 'size'> {
    return madeHere(name, this.#options.fileMode)
  }
}
