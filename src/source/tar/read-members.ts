import { type Compression, detectCompression, MAGIC_BYTES } from '../../files/compression/compression.js'
import { loadDecompressor } from '../../files/compression/decompressor.js'
import { DamagedArchiveError } from '../../files/damaged-archive-error.js'
import type { Yielder } from '../../files/yielder.js'
import type { TarHandler } from '../../files/tar/tar-member.js'
import { TarReader } from '../../files/tar/tar-reader.js'

/**
 * What comes out of an archive but is none of the manifest's files, such as WAL, may be so much: this, and so many times
 * the archive's own bytes. gzip and lz4 cannot make more of theirs.
 */
const MAX_SURPLUS_BYTES = 1024 ** 3
const MAX_SURPLUS_RATIO = 1100

/** Is told of members, and says how many bytes of them there may be. */
export interface MemberReader extends TarHandler {
  readonly expectedBytes: number
}

/**
 * Reads the members of an archive.
 *
 * @param chunks - the archive, as it is stored
 * @param named - how it should be compressed; `undefined`: by its first bytes
 * @param yielder - asked between pieces; not in a thread of its own
 * @throws {@link DamagedArchiveError}, and what the chunks throw
 */
export async function readMembers(
  chunks: Iterable<Buffer>,
  named: Compression | undefined,
  members: MemberReader,
  yielder?: Yielder,
): Promise<void> {
  const { start, all } = peekChunks(chunks, MAGIC_BYTES)
  const detected = detectCompression(start)
  const reader = new TarReader(members)
  const stored = new CountedChunks(all)
  try {
    let bytes = 0
    for await (const chunk of (await loadDecompressor(named ?? detected))(stored)) {
      reader.write(chunk)
      bytes += chunk.length
      if (yielder?.isDue === true) await yielder.yield()
      if (bytes - members.expectedBytes > MAX_SURPLUS_BYTES + MAX_SURPLUS_RATIO * stored.bytes) {
        throw new DamagedArchiveError(
          `it is a decompression bomb`,
          `${stored.bytes} bytes of it hold ${bytes}`,
        )
      }
    }
    reader.end()
  } catch (error) {
    throw addMisnaming(error, named, detected)
  }
}

/**
 * What an archive is before it was compressed.
 *
 * @throws as {@link readMembers}
 */
export async function* readDecompressed(
  chunks: Iterable<Buffer>,
  named: Compression | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  const { start, all } = peekChunks(chunks, MAGIC_BYTES)
  const detected = detectCompression(start)
  try {
    yield* (await loadDecompressor(named ?? detected))(all)
  } catch (error) {
    throw addMisnaming(error, named, detected)
  }
}

/** Says so when the reason of the damage may be that the archive's name is wrong. */
function addMisnaming(error: unknown, named: Compression | undefined, detected: Compression): unknown {
  if (!(error instanceof DamagedArchiveError) || named === undefined || detected === named) return error
  const is = detected === 'none' ? 'does not look compressed' : `looks like ${detected}`
  const shouldBe = named === 'none' ? 'not compressed' : named
  return new DamagedArchiveError(error.message, `it ${is}, but by its name it is ${shouldBe}`)
}

class CountedChunks implements Iterable<Buffer> {
  bytes = 0
  readonly #chunks: Iterable<Buffer>

  constructor(chunks: Iterable<Buffer>) {
    this.#chunks = chunks
  }

  *[Symbol.iterator](): Generator<Buffer, void, undefined> {
    for (const chunk of this.#chunks) {
      this.bytes += chunk.length
      yield chunk
    }
  }
}

/** The first bytes of a stream, and the stream as if nobody had looked. */
interface PeekedChunks {
  /** Fewer than asked for only when there are no more. */
  readonly start: Buffer
  readonly all: Iterable<Buffer>
}

/** Looks at the first bytes of a stream. What is read of it must be taken from `all` from now on. */
export function peekChunks(chunks: Iterable<Buffer>, count: number): PeekedChunks {
  const iterator = chunks[Symbol.iterator]()
  let start: Buffer = Buffer.alloc(0)
  for (let result = iterator.next(); result.done !== true; result = iterator.next()) {
    // The memory of a chunk is used again for the next.
    start = Buffer.concat([start, result.value])
    if (start.length >= count) break
  }
  return { start, all: joined(start, iterator) }
}

function* joined(start: Buffer, rest: Iterator<Buffer>): Generator<Buffer, void, undefined> {
  try {
    if (start.length > 0) yield start
    for (let result = rest.next(); result.done !== true; result = rest.next()) yield result.value
  } finally {
    rest.return?.()
  }
}
