import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CompressionSettings } from '../../files/compression/piece-compressor.js'
import { type SyncMethod, writeNewFile } from '../../files/durable-file.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import type { SafePathname } from '../../files/safe-pathname.js'
import { type MemberHeader, TAR_TRAILER } from '../../files/tar/tar-header.js'
import { UNFINISHED_MANIFEST } from '../../manifest/contents/made-by-backup.js'
import type { BackupTarget, TargetContents } from '../backup-target.js'
import { publishManifest } from '../directory-target.js'
import type { AnnouncedFile, FileSink, TargetFile, WalFiles } from '../file-sink.js'
import { SETTINGS_FILE, SIGNAL_FILE } from '../recovery-settings.js'
import type { TargetDirectory, TargetTablespace } from '../target-directory.js'
import { type ArchiveStream, StreamState } from './archive-stream.js'
import { GzippedWal, WalArchive } from './wal-archive.js'
import { OpenedStreams, piecesAtOnce, type StreamPlace, StreamSink, writeMember } from './stream-place.js'
import {
  archiveName,
  archivesOf,
  directoryMember,
  fetchedWal,
  madeHere,
  oidsOf,
  type TarSetOptions,
} from './tar-set.js'
import { CONTROL_FILE } from '../../postgres/data-directory.js'
import { POSTGRES_OWNER } from './tar-place.js'

interface StreamTargetOptions extends TarSetOptions {
  readonly compression: CompressionSettings
  /** Whether gzip compresses WAL, too. */
  readonly compressWal: boolean
  readonly jobs: number
  readonly signal: AbortSignal
}

/** Where the archives go. */
type StreamDestination =
  | { readonly kind: 'directory'; readonly directory: TargetDirectory }
  /** The only archive, with the manifest at its end; until then that is in a directory of the caller's. */
  | { readonly kind: 'standard-output'; readonly scratch: string }

/**
 * A backup in tar format whose archives are written from their beginning to their end: compressed ones, and one on standard output.
 *
 * A server tells backup_label at the end, so it is not the first here, as in a server's archive, but comes with pg_control, which is
 * after all else: who unpacks a part of the archive has no data directory that could start without it.
 */
export class StreamTarget implements BackupTarget {
  readonly path: string
  readonly tablespaces: readonly TargetTablespace[]
  readonly files: StreamPlace
  readonly wal: WalFiles
  readonly hasTablespaceMap = true
  readonly #destination: StreamDestination
  readonly #options: StreamTargetOptions
  readonly #streams: OpenedStreams
  readonly #walArchive: WalArchive | GzippedWal | undefined
  readonly #made: { readonly name: string; readonly content: Buffer }[] = []
  #controlFile: HeldControlFile | undefined
  #hasManifest = false

  constructor(destination: StreamDestination, options: StreamTargetOptions) {
    const { tablespaces, compression, jobs, recoverySettings: settings, signal } = options
    this.path = destination.kind === 'directory' ? destination.directory.path : destination.scratch
    const archives = archivesOf(tablespaces, compression.method)
    this.tablespaces = oidsOf(tablespaces).map((oid) => ({
      oid,
      location: join(this.path, archiveName(oid, compression.method)),
    }))
    this.files = {
      kind: 'tar-stream',
      directory: destination.kind === 'directory' ? this.path : undefined,
      archives,
      memory: new SharedArrayBuffer(archives.length * StreamState.bytes),
      compression,
      limit: piecesAtOnce(compression, jobs),
      recoverySettings: settings === undefined ? undefined : Buffer.from(settings),
    }
    this.#destination = destination
    this.#options = options
    this.#streams = new OpenedStreams(this.files, signal)
    this.#walArchive = options.streamsWal ? makeWalArchive(this.path, options) : undefined
    this.wal = this.#walArchive ?? fetchedWal((name) => this.#add(name, Buffer.alloc(0)))
  }

  get archiveSizes(): ReadonlyMap<string, number> | undefined {
    const { archives, memory, directory } = this.files
    if (directory === undefined) return undefined
    return new Map(archives.map(({ name }, index) => [name, new StreamState(memory, index).end]))
  }

  shownPath(pathname: Pathname): string {
    if (this.#destination.kind === 'standard-output') return '-'
    const { places } = this.#streams
    return displayPathname(places.pathOf(places.of(pathname).archive))
  }

  async mark(backupId: string): Promise<void> {
    if (this.#destination.kind === 'directory') await this.#destination.directory.mark(backupId)
  }

  async begin({ directories }: TargetContents): Promise<void> {
    for (const [index] of this.files.archives.entries()) {
      const stream = await this.#streams.open(index, this.#options.fileMode)
      await stream.begin()
    }
    for (const directory of directories) {
      const place = directoryMember(directory, this.#streams.places)
      if (place === undefined) continue
      await writeMember(this.#stream(place.archive), place.member, Buffer.alloc(0))
    }
    await this.#streams.flush()
  }

  openSink(signal: AbortSignal): FileSink {
    this.#controlFile = new HeldControlFile(new StreamSink(this.files, signal))
    return this.#controlFile
  }

  /** It is kept until all files are there. */
  async addFile(name: SafePathname, content: Buffer): Promise<void> {
    this.#made.push({ name, content })
  }

  async addManifest(chunks: AsyncIterable<Buffer>): Promise<number> {
    const { fileMode: mode, sync } = this.#options
    this.#hasManifest = true
    return await writeNewFile(join(this.path, UNFINISHED_MANIFEST), chunks, { mode, sync })
  }

  async complete({ sync }: { readonly sync: SyncMethod | undefined }): Promise<void> {
    for (const { name, content } of this.#made) await this.#add(name, content)
    const held = this.#controlFile?.take()
    if (held !== undefined) await writeMember(this.#base, held.member, held.content)
    const { recoverySettings: settings } = this.#options
    if (settings !== undefined) {
      const { notes } = new StreamState(this.files.memory, this.files.archives.length - 1)
      if (!notes.has(SETTINGS_FILE)) await this.#add(SETTINGS_FILE, Buffer.from(settings))
      if (!notes.has(SIGNAL_FILE)) await this.#add(SIGNAL_FILE, Buffer.alloc(0))
    }
    if (this.#destination.kind === 'directory')
      return await this.#completeFiles(this.#destination.directory, sync)
    if (!this.#hasManifest) await this.#base.end(TAR_TRAILER)
  }

  async publish({ sync }: { readonly sync: boolean }): Promise<string> {
    if (this.#destination.kind === 'directory') return await publishManifest(this.path, { sync })
    const path = join(this.path, UNFINISHED_MANIFEST)
    const { size } = await stat(path)
    await writeMember(this.#base, madeHere('backup_manifest', this.#options.fileMode), {
      size,
      chunks: createReadStream(path),
    })
    await this.#base.end(TAR_TRAILER)
    return 'backup_manifest'
  }

  async abandon(): Promise<void> {
    await this.#streams.close()
    await this.#walArchive?.abandon()
  }

  async remove(): Promise<readonly string[]> {
    return this.#destination.kind === 'directory' ? await this.#destination.directory.remove() : []
  }

  get #base(): ArchiveStream {
    return this.#stream(this.files.archives.length - 1)
  }

  #stream(archive: number): ArchiveStream {
    const stream = this.#streams.find(archive)
    if (stream === undefined) throw new Error('there are no archives')
    return stream
  }

  async #add(name: string, content: Buffer): Promise<void> {
    await writeMember(this.#base, madeHere(name, this.#options.fileMode), content)
  }

  async #completeFiles(directory: TargetDirectory, sync: SyncMethod | undefined): Promise<void> {
    for (const [index] of this.files.archives.entries()) await this.#stream(index).end(TAR_TRAILER)
    if (sync === 'fsync') await this.#streams.sync()
    await this.#streams.close()
    await this.#walArchive?.end()
    await directory.complete({ sync })
  }
}

/** As pg_basebackup, which compresses WAL only by gzip. */
function makeWalArchive(
  directory: string,
  { fileMode, sync, compression, compressWal, signal }: StreamTargetOptions,
): WalArchive | GzippedWal {
  const { method, level } = compression
  if (method !== 'gzip' || !compressWal)
    return new WalArchive({ path: join(directory, 'pg_wal.tar'), fileMode, sync })
  return new GzippedWal({ path: join(directory, 'pg_wal.tar.gz'), fileMode, sync, level, signal })
}

/** A file that waits for its place. */
interface HeldFile {
  readonly member: Omit<MemberHeader, 'size'>
  readonly content: Buffer
}

/** Hands all files on but pg_control, which is read before the backup ends, and has its place after what is known only then. */
class HeldControlFile implements FileSink {
  readonly needsSizes = true
  readonly #sink: FileSink
  #held: { readonly member: HeldFile['member']; readonly pieces: Buffer[] } | undefined
  #isOpen = false

  constructor(sink: FileSink) {
    this.#sink = sink
  }

  begin(file: TargetFile, announced: AnnouncedFile | undefined): void | Promise<void> {
    const { pathname: name, mode } = file
    if (name !== CONTROL_FILE) return this.#sink.begin(file, announced)
    const member = {
      name,
      kind: 'file',
      mode,
      modified: announced?.modified ?? 0,
      owner: POSTGRES_OWNER,
    } as const
    this.#held = { member, pieces: [] }
    this.#isOpen = true
  }

  write(bytes: Buffer): void | Promise<void> {
    if (!this.#isOpen) return this.#sink.write(bytes)
    this.#held?.pieces.push(Buffer.from(bytes))
  }

  end(): void | Promise<void> {
    if (!this.#isOpen) return this.#sink.end()
    this.#isOpen = false
  }

  retract(): void {
    if (!this.#isOpen) return this.#sink.retract()
    this.#isOpen = false
    this.#held = undefined
  }

  abandon(): void {
    this.#sink.abandon()
  }

  async finish(signal: AbortSignal): Promise<void> {
    await this.#sink.finish(signal)
  }

  /** Hands it out, when it has come. */
  take(): HeldFile | undefined {
    return this.#held && { member: this.#held.member, content: Buffer.concat(this.#held.pieces) }
  }
}
