import { basename, dirname } from 'node:path'
import { formatTarHeader, TAR_TRAILER } from '../../files/tar/tar-header.js'
import type { WalFileName } from '../../postgres/wal-segment.js'
import type { SegmentFile, WalFiles } from '../file-sink.js'
import { type ArchiveStream, StreamState } from './archive-stream.js'
import { OpenedStreams } from './stream-place.js'
import { writeMember } from './stream-sink.js'
import { walMember, type WalArchiveOptions } from './wal-archive.js'

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
