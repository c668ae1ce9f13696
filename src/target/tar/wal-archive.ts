import type { MemberHeader } from '../../files/tar/tar-header.js'
import type { WalFileName } from '../../postgres/wal-segment.js'
import type { SegmentFile, WalFiles } from '../file-sink.js'
import { ArchiveFile } from './archive-file.js'
import { ArchiveEnds } from './tar-place.js'

export interface WalArchiveOptions {
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
export function walMember(name: string): Omit<MemberHeader, 'size'> {
  const modified = Math.floor(Date.now() / 1000)
  return { name, kind: 'file', mode: 0o600, modified, owner: { uid: 0, gid: 0 } }
}
