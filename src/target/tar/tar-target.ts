import { join } from 'node:path'
import { writeNewFile } from '../../files/durable-file.js'
import type { Pathname } from '../../files/pathname.js'
import type { SafePathname } from '../../files/safe-pathname.js'
import type { SyncMethod } from '../../files/sync-file-system.js'
import type { TarMember } from '../../files/tar/format-tar-header.js'
import { UNFINISHED_MANIFEST } from '../../manifest/contents/made-by-backup.js'
import { BACKUP_LABEL, TABLESPACE_MAP } from '../../postgres/data-directory.js'
import type { WalFileName } from '../../postgres/wal-file-name.js'
import type { BackupTarget, FilePlace, TargetContents, TargetEntry } from '../backup-target.js'
import { publishManifest } from '../directory-target.js'
import { SETTINGS_FILE, SIGNAL_FILE } from '../recovery-settings.js'
import type { ClusterTablespace, TargetDirectory, TargetTablespace } from '../target-directory.js'
import type { WalFiles } from '../wal-files.js'
import { ArchiveFile, type Reservation } from './archive-file.js'
import { ArchiveEnds, MemberPlaces, POSTGRES_OWNER, type TarPlace } from './tar-place.js'
import { WalArchive } from './wal-archive.js'

export interface TarTargetOptions {
  readonly tablespaces: readonly ClusterTablespace[]
  /** Of the files that are made here, and of the archives. */
  readonly fileMode: number
  /** Whether they become durable. */
  readonly sync: boolean
  /** Whether WAL has an archive of its own. */
  readonly streamsWal: boolean
  /** See `BackupTarget`. */
  readonly recoverySettings: string | undefined
}

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
  readonly #options: TarTargetOptions
  readonly #ends: ArchiveEnds
  readonly #places: MemberPlaces
  readonly #walArchive: WalArchive | undefined
  #archives: readonly ArchiveFile[] = []
  readonly #reserved = new Map<string, Reservation>()

  /** @param directory - claimed, without tablespaces */
  constructor(directory: TargetDirectory, options: TarTargetOptions) {
    const { fileMode, sync, tablespaces, recoverySettings: settings } = options
    const { path } = directory
    this.path = path
    const oids = tablespaces.flatMap(({ oid }) => (oid === undefined ? [] : [oid]))
    this.tablespaces = oids.map((oid) => ({ oid, location: join(path, `${oid}.tar`) }))
    const archives = [
      ...oids.map((oid) => ({ name: `${oid}.tar`, prefix: `pg_tblspc/${oid}/` })),
      { name: 'base.tar', prefix: '' },
    ]
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
    this.wal = this.#walArchive ?? this.#fetchedWal()
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

  async complete({ sync }: { readonly sync: SyncMethod | undefined }): Promise<void> {
    const { recoverySettings: settings } = this.#options
    if (settings !== undefined) {
      if (!this.#ends.has(SETTINGS_FILE))
        await this.#base.add(this.#madeHere(SETTINGS_FILE), Buffer.from(settings))
      if (!this.#ends.has(SIGNAL_FILE)) await this.#base.add(this.#madeHere(SIGNAL_FILE))
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

  async #addDirectory({ pathname, mode, modified }: TargetEntry): Promise<void> {
    // In-place tablespaces have archives of their own, and links a file that says where they lead.
    if (/^pg_tblspc\/[^/]+$/.test(pathname)) return
    const { archive, name } = this.#places.of(pathname)
    // As the server has them. @see src/backend/backup/basebackup.c (`sendDir`)
    const named = name.startsWith('pg_wal/') ? `./${name}` : name
    await this.#archives[archive]?.add({
      name: named,
      kind: 'directory',
      mode,
      modified,
      owner: POSTGRES_OWNER,
    })
  }

  #madeHere(name: string): Omit<TarMember, 'size'> {
    const modified = Math.floor(Date.now() / 1000)
    return { name, kind: 'file', mode: this.#options.fileMode, modified, owner: POSTGRES_OWNER }
  }

  /** WAL that is fetched comes as any file does, and only what says that it is archived is made here. */
  #fetchedWal(): WalFiles {
    const markDone = async (name: WalFileName): Promise<void> => {
      await this.#base.add(this.#madeHere(`pg_wal/archive_status/${name}.done`))
    }
    return { prepare: streamed, createSegment: streamed, writeWhole: streamed, markDone }
  }
}

function streamed(): never {
  throw new Error('there is no archive for WAL')
}
