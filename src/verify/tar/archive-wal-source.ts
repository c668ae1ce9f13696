import { CompressedFile } from '../../files/compression/compressed-file.js'
import type { Yielder } from '../../files/yielder.js'
import { chooseSegments } from '../wal/choose-segments.js'
import { openSegment, storedPieces } from '../wal/file-wal-source.js'
import type { SegmentPlace, WalSegmentReader, WalSource } from '../wal/wal-source.js'
import type { Archive } from './archive.js'
import type { WalMember } from './archive-messages.js'

/** A WAL segment, and the archive that has it. */
export interface ArchivedSegment extends WalMember {
  readonly archive: Archive
}

/** What is known of the WAL in archives. */
export interface ArchivedWal {
  readonly place: string
  /** In the order in which they would be unpacked: a later one replaces an earlier one of its name. */
  readonly members: readonly ArchivedSegment[]
  readonly failure: string | undefined
}

/**
 * The WAL segments in archives, which stay packed: what is not compressed is read where it lies, in several threads; what
 * is compressed is decompressed again, in this thread, in the order in which the segments are asked for.
 */
export class ArchiveWalSource implements WalSource {
  readonly place: string
  readonly failure: string | undefined
  readonly whyNoBytes?: string
  readonly names: readonly string[]
  readonly description: WalSource['description']
  readonly #segments: ReadonlyMap<string, ArchivedSegment>
  readonly #unusedPartials: ReadonlySet<string>
  readonly #compressed = new Map<Archive, CompressedFile>()
  readonly #yielder: Yielder

  constructor({ place, members, failure }: ArchivedWal, usePartial: boolean, yielder: Yielder) {
    const lastFirst = members.toReversed().map((member) => [member.name, member] as const)
    const { segments, unusedPartials } = chooseSegments(lastFirst, usePartial)
    this.place = place
    this.failure = failure
    this.names = [...segments.keys()]
    this.#segments = segments
    this.#unusedPartials = unusedPartials
    this.#yielder = yielder
    if (members.some(({ archive }) => archive.path === undefined)) {
      this.whyNoBytes =
        'standard input cannot be read a second time; of the WAL in it, presence and size are checked'
    }
    const places = [...segments].map(([name, segment]) => [name, placeOf(segment)] as const)
    this.description = places.every(isKnown) ? { place, segments: new Map(places) } : undefined
  }

  hasUnusedPartial(name: string): boolean {
    return this.#unusedPartials.has(name)
  }

  open(name: string): WalSegmentReader {
    const segment = this.#segments.get(name)
    if (segment === undefined) throw new RangeError(`there is no segment "${name}"`)
    const place = placeOf(segment)
    return place === undefined ? this.#openCompressed(segment) : openSegment(place)
  }

  /** Closes the archives. */
  async close(): Promise<void> {
    for (const file of this.#compressed.values()) await file.close()
  }

  #openCompressed(segment: ArchivedSegment): WalSegmentReader {
    const { archive, offset, size, stretches } = segment
    return {
      size,
      read: async (buffer, position) => {
        const wanted = buffer.subarray(0, Math.min(buffer.length, Math.max(size - position, 0)))
        const file = this.#fileOf(archive)
        if (stretches === undefined) return await file.read(wanted, offset + position)
        wanted.fill(0)
        for (const piece of storedPieces(segment, stretches, wanted, position)) {
          if ((await file.read(piece.buffer, piece.offset)) < piece.buffer.length) return 0
        }
        return wanted.length
      },
      // The archive stays open where it stands: the next segment is likely to follow.
      close: () => {},
    }
  }

  #fileOf(archive: Archive): CompressedFile {
    const { path, compression } = archive
    if (path === undefined || compression === undefined) throw new TypeError('the archive is no file')
    const file = this.#compressed.get(archive) ?? new CompressedFile(path, compression, this.#yielder)
    this.#compressed.set(archive, file)
    return file
  }
}

/** Where a segment lies that is not compressed. */
function placeOf({ archive, offset, size, stretches }: ArchivedSegment): SegmentPlace | undefined {
  const { path, compression } = archive
  return path === undefined || compression !== 'none'
    ? undefined
    : { path, part: { offset, size, stretches } }
}

function isKnown(
  place: readonly [string, SegmentPlace | undefined],
): place is readonly [string, SegmentPlace] {
  return place[1] !== undefined
}
