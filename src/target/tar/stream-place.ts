import { type FileHandle, open } from 'node:fs/promises'
import { write as writeCallback } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import {
  type CompressionSettings,
  loadPieceCompressor,
  type PieceCompressor,
} from '../../files/compression/piece-compressor.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import { describeSystemError, ioError } from '../../files/system-error.js'
import { ArchiveStream, type StreamOutput, StreamState } from './archive-stream.js'
import { MemberPlaces, POSTGRES_OWNER, type TargetArchive } from './tar-place.js'
import { PbManifestError } from '../../errors.js'
import {
  bytesOfMember,
  formatTarHeader,
  type MemberHeader,
  TAR_BLOCK_BYTES,
} from '../../files/tar/tar-header.js'
import type { AnnouncedFile, FileSink, TargetFile } from '../file-sink.js'
import { SETTINGS_FILE } from '../recovery-settings.js'

/** Where files go that become members of archives which are written from their beginning to their end. It crosses threads. */
export interface StreamPlace {
  readonly kind: 'tar-stream'
  /** `undefined`: the only archive is standard output. */
  readonly directory: string | undefined
  /** That of the data directory is the last. */
  readonly archives: readonly TargetArchive[]
  readonly memory: SharedArrayBuffer
  readonly compression: CompressionSettings
  /** How many pieces of one worker may be on their way. */
  readonly limit: number
  readonly recoverySettings: Uint8Array | undefined
}

/** Nothing to compress is nothing to do beside each other; else it is all that the system gives, and a few that wait. */
export function piecesAtOnce({ method }: CompressionSettings, jobs: number): number {
  return method === 'none' ? 2 : Math.min(jobs + 1, MAX_PIECES)
}

/** A piece and what it becomes are 2 MiB, for each worker. */
const MAX_PIECES = 8

/** The archives of a place, as one worker writes into them. */
export class OpenedStreams {
  readonly places: MemberPlaces
  readonly #place: StreamPlace
  readonly #signal: AbortSignal
  readonly #streams = new Map<number, ArchiveStream>()
  readonly #handles: FileHandle[] = []
  #compressor: PieceCompressor | undefined

  constructor(place: StreamPlace, signal: AbortSignal) {
    this.places = new MemberPlaces({ directory: place.directory ?? '', archives: place.archives })
    this.#place = place
    this.#signal = signal
  }

  /** A file comes; see {@link NotedFiles}. */
  note(archive: number, pathname: Pathname): void {
    new StreamState(this.#place.memory, archive).notes.note(pathname)
  }

  /** One that was opened. */
  find(archive: number): ArchiveStream | undefined {
    return this.#streams.get(archive)
  }

  /** @param mode - of an archive that is to be made; `undefined`: it is there */
  async open(archive: number, mode?: number): Promise<ArchiveStream> {
    const { memory, limit, compression, directory } = this.#place
    this.#compressor ??= await loadPieceCompressor(compression)
    const output =
      directory === undefined ? standardOutput : await this.#openFile(this.places.pathOf(archive), mode)
    const state = new StreamState(memory, archive)
    const stream = new ArchiveStream({
      state,
      output,
      compressor: this.#compressor,
      limit,
      signal: this.#signal,
    })
    this.#streams.set(archive, stream)
    return stream
  }

  /** Resolves when all is written. */
  async flush(): Promise<void> {
    for (const stream of this.#streams.values()) await stream.flush()
  }

  async sync(): Promise<void> {
    for (const handle of this.#handles) {
      try {
        await handle.sync()
      } catch (error) {
        throw ioError('could not fsync an archive', error)
      }
    }
  }

  /** Leaves them. Never throws. */
  async close(): Promise<void> {
    for (const handle of this.#handles.splice(0)) await handle.close().catch(() => {})
  }

  async #openFile(path: string, mode: number | undefined): Promise<StreamOutput> {
    try {
      const handle = await open(path, mode === undefined ? 'r+' : 'wx', mode)
      this.#handles.push(handle)
      if (mode !== undefined) await handle.chmod(mode)
      return { write: (bytes, position) => writeAt(handle, path, bytes, position) }
    } catch (error) {
      throw ioError(`could not ${mode === undefined ? 'open' : 'create'} file "${path}"`, error)
    }
  }
}

async function writeAt(handle: FileHandle, path: string, bytes: Uint8Array, position: number): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at)
      at += bytesWritten
    }
  } catch (error) {
    throw ioError(`could not write file "${path}"`, error)
  }
}

const writeDescriptor = promisify(writeCallback) as (
  descriptor: number,
  bytes: Uint8Array,
  at: number,
  length: number,
) => Promise<{ readonly bytesWritten: number }>

/** Whoever reads it may be slow, and the descriptor such that it does not wait. */
const RETRY_MS = 5

const standardOutput: StreamOutput = {
  write: async (bytes) => {
    for (let at = 0; at < bytes.length;) {
      try {
        const { bytesWritten } = await writeDescriptor(1, bytes, at, bytes.length - at)
        at += bytesWritten
      } catch (error) {
        if (describeSystemError(error)?.code !== 'EAGAIN')
          throw ioError('could not write to standard output', error)
        await setTimeout(RETRY_MS)
      }
    }
  },
}

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
interface MemberContent {
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
