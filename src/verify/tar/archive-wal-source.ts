import type { ArchivePlace } from '../../source/tar/archive-place.js'
import { unpackBytes } from '../../source/tar/unpacked-archive.js'
import { CompressedFile, decompressFile } from '../../files/compression/compressed-file.js'
import type { Yielder } from '../../files/yielder.js'
import {
  chooseSegments,
  type SegmentPlace,
  type WalSegmentReader,
  type WalSource,
} from '../wal/wal-source.js'
import { openSegment, storedPieces } from '../wal/file-wal-source.js'
import type { Archive } from '../../source/tar/archive.js'
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

/** What is known when the archives have been read. */
interface MetWal {
  readonly walMembers: readonly ArchivedSegment[]
  /** Archives that could not be read to their end. */
  readonly unread: ReadonlySet<Archive>
  /** Archives that are not there, and what was said about that. */
  readonly absent: ReadonlyMap<Archive, string>
}

/** The WAL that was met in archives. `base.tar` may have some, but `pg_wal.tar` is unpacked over it. */
export function archivedWal(
  directoryPrefix: string,
  archives: readonly Archive[],
  results: MetWal | undefined,
): ArchivedWal {
  const ofWal = archives.find(({ contents }) => contents === 'pg_wal')
  const ofBase = archives.find(({ contents }) => contents === 'base')
  const unread = [ofWal, ofBase].find((archive) => archive !== undefined && results?.unread.has(archive))
  const whyNone = ofWal && results?.absent.get(ofWal)
  const members = results?.walMembers ?? []
  const hasOwn = ofWal !== undefined && whyNone === undefined
  const holder = hasOwn ? ofWal : members.length > 0 ? ofBase : undefined
  return {
    place: holder === undefined ? `${directoryPrefix}pg_wal.tar` : (holder.path ?? holder.name),
    members: [
      ...members.filter(({ archive }) => archive !== ofWal),
      ...members.filter(({ archive }) => archive === ofWal),
    ],
    failure: unread
      ? `archive "${unread.name}" cannot be read to its end`
      : whyNone && `could not fetch archive "pg_wal.tar": ${whyNone}`,
  }
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
  readonly #reading: ArchivedWalReading

  constructor({ place, members, failure }: ArchivedWal, reading: ArchivedWalReading) {
    const { usePartial } = reading
    const lastFirst = members.toReversed().map((member) => [member.name, member] as const)
    const { segments, unusedPartials } = chooseSegments(lastFirst, usePartial)
    this.place = place
    this.failure = failure
    this.names = [...segments.keys()]
    this.#segments = segments
    this.#unusedPartials = unusedPartials
    this.#reading = reading
    if (reading.place?.isRepeatable === false && members.length > 0) {
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

  #decompress(archive: Archive): AsyncGenerator<Buffer, void, undefined> {
    const { path, compression } = archive
    if (path !== undefined && compression !== undefined) return decompressFile(path, compression)
    const { place, signal } = this.#reading
    return unpackBytes(archive, { place, signal })
  }

  #fileOf(archive: Archive): CompressedFile {
    const file =
      this.#compressed.get(archive) ??
      new CompressedFile(() => this.#decompress(archive), this.#reading.yielder)
    this.#compressed.set(archive, file)
    return file
  }
}

/** How the archives are read again. */
export interface ArchivedWalReading {
  readonly usePartial: boolean
  readonly yielder: Yielder
  /** Where an archive without a path comes from. */
  readonly place: ArchivePlace | undefined
  readonly signal: AbortSignal | undefined
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
