import { basename, dirname } from 'node:path'
import { formatTarHeader, type MemberHeader, TAR_TRAILER } from '../../files/tar/tar-header.js'
import type { WalFileName } from '../../postgres/wal-segment.js'
import type { SegmentFile, WalFiles } from '../file-sink.js'
import { ArchiveFile } from './archive-file.js'
import { ArchiveEnds } from './tar-place.js'
import { type ArchiveStream, StreamState } from './archive-stream.js'
import { OpenedStreams, writeMember } from './stream-place.js'

interface WalArchiveOptions {
  readonly path: string
  /** Of the archive. */
  readonly fileMode: number
  /** Whether it becomes durable, each segment when it is whole. */
  readonly sync: boolean
}

/**
 * The archive for WAL that is streamed, `pg_wal.tar`: segments under their names, of full size, and what says that they are archived.
 *
 * @see src/bin/pg_basebackup/walmethods.c (`CreateWalTarMethod`)
 */
export class WalArchive implements WalFiles {
  readonly #options: WalArchiveOptions
  #file: ArchiveFile | undefined

  constructor(options: WalArchiveOptions) {
    this.#options = options
  }

  async prepare(): Promise<void> {
    const { path, fileMode } = this.#options
    this.#file = await ArchiveFile.create(path, fileMode, new ArchiveEnds(ArchiveEnds.allocate(1)), 0)
  }

  async createSegment(name: WalFileName, size: number): Promise<SegmentFile> {
    const { sync } = this.#options
    const file = this.#requireFile()
    const start = await file.begin(walMember(name), size)
    let position = start
    return {
      path: `${file.path}/${name}`,
      write: async (bytes) => {
        await file.write(bytes, position)
        position += bytes.length
      },
      sync: async () => {
        if (sync) await file.sync()
      },
      close: async () => {},
    }
  }

  async writeWhole(name: WalFileName, content: Buffer): Promise<void> {
    await this.#requireFile().add(walMember(name), content)
    await this.markDone(name)
  }

  async markDone(name: WalFileName): Promise<void> {
    await this.#requireFile().add(walMember(`archive_status/${name}.done`))
  }

  /** All WAL is there. */
  async end(): Promise<void> {
    await this.#file?.end(this.#options)
    this.#file = undefined
  }

  /** Leaves it as it is. Never throws. */
  async abandon(): Promise<void> {
    await this.#file?.abandon()
  }

  #requireFile(): ArchiveFile {
    if (this.#file === undefined) throw new Error('there is no archive for WAL')
    return this.#file
  }
}

/** As pg_basebackup has them here. */
function walMember(name: string): Omit<MemberHeader, 'size'> {
  const modified = Math.floor(Date.now() / 1000)
  return { name, kind: 'file', mode: 0o600, modified, owner: { uid: 0, gid: 0 } }
}

const ZEROS = Buffer.alloc(1024 * 1024)

/** The archive for WAL that is streamed and compressed, `pg_wal.tar.gz`: it is durable only at its end, as pg_basebackup's. */
export class GzippedWal implements WalFiles {
  readonly #options: WalArchiveOptions
  readonly #streams: OpenedStreams
  #stream: ArchiveStream | undefined

  constructor(
    options: WalArchiveOptions & { readonly level: number | undefined; readonly signal: AbortSignal },
  ) {
    const { path, level, signal } = options
    this.#options = options
    this.#streams = new OpenedStreams(
      {
        kind: 'tar-stream',
        directory: dirname(path),
        archives: [{ name: basename(path), prefix: '' }],
        memory: new SharedArrayBuffer(StreamState.bytes),
        compression: { method: 'gzip', level },
        limit: 4,
        recoverySettings: undefined,
      },
      signal,
    )
  }

  async prepare(): Promise<void> {
    this.#stream = await this.#streams.open(0, this.#options.fileMode)
    await this.#stream.begin()
  }

  async createSegment(name: WalFileName, size: number): Promise<SegmentFile> {
    const stream = this.#requireStream()
    await stream.write(formatTarHeader({ ...walMember(name), size }))
    let left = size
    return {
      path: `${this.#options.path}/${name}`,
      write: async (bytes) => {
        left -= bytes.length
        await stream.write(bytes)
      },
      sync: async () => {},
      close: async () => {
        for (; left > 0; left -= Math.min(left, ZEROS.length)) {
          await stream.write(ZEROS.subarray(0, Math.min(left, ZEROS.length)))
        }
        await stream.endMember()
      },
    }
  }

  async writeWhole(name: WalFileName, content: Buffer): Promise<void> {
    await this.#add(name, content)
    await this.markDone(name)
  }

  async markDone(name: WalFileName): Promise<void> {
    await this.#add(`archive_status/${name}.done`, Buffer.alloc(0))
  }

  /** All WAL is there. */
  async end(): Promise<void> {
    await this.#stream?.end(TAR_TRAILER)
    if (this.#options.sync) await this.#streams.sync()
    await this.#streams.close()
  }

  /** Leaves it as it is. Never throws. */
  async abandon(): Promise<void> {
    await this.#streams.close()
  }

  async #add(name: string, content: Buffer): Promise<void> {
    await writeMember(this.#requireStream(), walMember(name), content)
  }

  #requireStream(): ArchiveStream {
    if (this.#stream === undefined) throw new Error('there is no archive for WAL')
    return this.#stream
  }
}
