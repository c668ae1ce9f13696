import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import {
  bytesOfMember,
  formatTarHeader,
  TAR_BLOCK_BYTES,
  type MemberHeader,
} from '../../files/tar/tar-header.js'
import type { AnnouncedFile, FileSink, TargetFile } from '../file-sink.js'
import { SETTINGS_FILE } from '../recovery-settings.js'
import type { ArchiveStream } from './archive-stream.js'
import { OpenedStreams, type StreamPlace } from './stream-place.js'
import { POSTGRES_OWNER } from './tar-place.js'

interface OpenMember {
  readonly pathname: Pathname
  readonly stream: ArchiveStream
  readonly size: number
  readonly addition: Uint8Array | undefined
}

/** Members of archives that are written from their beginning to their end, by several workers in turns. */
export class StreamSink implements FileSink {
  readonly needsSizes = true
  readonly #place: StreamPlace
  readonly #streams: OpenedStreams
  #open: OpenMember | undefined

  constructor(place: StreamPlace, signal: AbortSignal) {
    this.#place = place
    this.#streams = new OpenedStreams(place, signal)
  }

  begin({ pathname, mode }: TargetFile, announced: AnnouncedFile | undefined): void | Promise<void> {
    if (announced === undefined) throw new Error('the size of a member is not known')
    const { archive, name } = this.#streams.places.of(pathname)
    this.#streams.note(archive, pathname)
    const addition = pathname === SETTINGS_FILE ? this.#place.recoverySettings : undefined
    const size = announced.size + (addition?.length ?? 0)
    const { modified } = announced
    const header = formatTarHeader({ name, kind: 'file', size, mode, modified, owner: POSTGRES_OWNER })
    const start = (stream: ArchiveStream): void | Promise<void> => {
      this.#open = { pathname, stream, size, addition }
      return stream.write(header)
    }
    const stream = this.#streams.find(archive)
    return stream === undefined ? this.#streams.open(archive).then(start) : start(stream)
  }

  write(bytes: Buffer): void | Promise<void> {
    return this.#requireOpen().stream.write(bytes)
  }

  end(): void | Promise<void> {
    const { stream, size, addition } = this.#requireOpen()
    this.#open = undefined
    if (addition !== undefined) return this.#endWith(stream, size, addition)
    const padding = stream.write(ZEROS.subarray(0, bytesOfMember(size) - TAR_BLOCK_BYTES - size))
    return padding === undefined ? stream.endMember() : padding.then(() => stream.endMember())
  }

  retract(): void {
    const { stream, pathname } = this.#requireOpen()
    this.#open = undefined
    if (stream.retract()) return
    throw new PbManifestError(
      'SERVER',
      `the connection was lost over which file "${displayPathname(pathname)}" came, of which a part is in the archive already`,
      {
        hint: 'Take the backup again, or as a directory or archives that are not compressed, where it can come again.',
      },
    )
  }

  abandon(): void {
    this.#open = undefined
    void this.#streams.close()
  }

  /** What makes an archive durable does so for all who have written into it. */
  async finish(): Promise<void> {
    await this.#streams.flush()
    await this.#streams.close()
  }

  async #endWith(stream: ArchiveStream, size: number, addition: Uint8Array): Promise<void> {
    await stream.write(addition)
    await stream.write(ZEROS.subarray(0, bytesOfMember(size) - TAR_BLOCK_BYTES - size))
    await stream.endMember()
  }

  #requireOpen(): OpenMember {
    if (this.#open === undefined) throw new Error('no member is open')
    return this.#open
  }
}

/** What a member has, when it is not in memory. */
export interface MemberContent {
  readonly size: number
  readonly chunks: AsyncIterable<Buffer>
}

/** Writes a whole member. */
export async function writeMember(
  stream: ArchiveStream,
  member: Omit<MemberHeader, 'size'>,
  content: Buffer | MemberContent,
): Promise<void> {
  const { size, chunks } = Buffer.isBuffer(content) ? { size: content.length, chunks: [content] } : content
  await stream.write(formatTarHeader({ ...member, size }))
  for await (const chunk of chunks) await stream.write(chunk)
  await stream.write(ZEROS.subarray(0, bytesOfMember(size) - TAR_BLOCK_BYTES - size))
  await stream.endMember()
}

const ZEROS = Buffer.alloc(TAR_BLOCK_BYTES)
