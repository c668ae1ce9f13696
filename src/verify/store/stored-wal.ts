import { type ByteRange, readWholeObject } from '../../source/store/read-object.js'
import type { ListedObject } from '../../source/store/list-objects.js'
import type { StoreClient } from '../../source/store/store-client.js'
import { chooseSegments, type WalSegmentReader, type WalSource } from '../wal/wal-source.js'
import type { ListedTree } from './listed-tree.js'

/** How much of a segment is fetched at a time; the next piece comes while this one is read. */
const PIECE_BYTES = 4 * 1024 * 1024

/** The WAL of a backup in an object store. */
export function storedWal(
  client: StoreClient,
  tree: ListedTree,
  usePartial: boolean,
  signal: AbortSignal | undefined,
): WalSource {
  const files = tree.namesIn('pg_wal').flatMap((name) => {
    const object = tree.files.get(`pg_wal/${name}`)
    return object === undefined ? [] : [[name, object] as const]
  })
  const { segments, unusedPartials } = chooseSegments(files, usePartial)
  return {
    place: `${client.address.shown}/pg_wal`,
    names: [...segments.keys()],
    failure: undefined,
    description: undefined,
    hasUnusedPartial: (name) => unusedPartials.has(name),
    open: (name) => {
      const object = segments.get(name)
      if (object === undefined) throw new RangeError(`there is no segment "${name}"`)
      return new StoredSegment(client, object, signal)
    },
  }
}

class StoredSegment implements WalSegmentReader {
  readonly size: number
  readonly #client: StoreClient
  readonly #object: ListedObject
  readonly #signal: AbortSignal
  readonly #ended = new AbortController()
  readonly #pieces = new Map<number, Promise<Buffer>>()

  constructor(client: StoreClient, object: ListedObject, signal: AbortSignal | undefined) {
    this.#client = client
    this.#object = object
    this.size = object.size
    this.#signal = signal === undefined ? this.#ended.signal : AbortSignal.any([signal, this.#ended.signal])
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    const wanted = Math.min(buffer.length, Math.max(this.size - position, 0))
    let filled = 0
    while (filled < wanted) {
      const at = position + filled
      const number = Math.floor(at / PIECE_BYTES)
      const piece = await this.#piece(number)
      // It is likely to be next.
      void this.#piece(number + 1)
      for (const known of this.#pieces.keys()) if (known < number) this.#pieces.delete(known)
      filled += piece.copy(
        buffer,
        filled,
        at - number * PIECE_BYTES,
        at - number * PIECE_BYTES + wanted - filled,
      )
    }
    return filled
  }

  close(): void {
    this.#ended.abort()
  }

  #piece(number: number): Promise<Buffer> {
    const known = this.#pieces.get(number)
    if (known !== undefined) return known
    const start = number * PIECE_BYTES
    const piece = this.#fetch({ start, end: Math.min(start + PIECE_BYTES, this.size) })
    // Whoever needs it is told.
    piece.catch(() => {})
    this.#pieces.set(number, piece)
    return piece
  }

  async #fetch(range: ByteRange): Promise<Buffer> {
    return await readWholeObject(this.#client, this.#object, this.#signal, range)
  }
}
