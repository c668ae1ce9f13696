import { closeSync } from 'node:fs'
import { openRegularFile } from '../../files/open-regular-file.js'
import { readFully } from '../../files/read-fully.js'
import type { StoredStretch } from '../../files/tar/sparse-member.js'
import type { ChosenSegments } from './choose-segments.js'
import type {
  SegmentPlace,
  StoredPart,
  WalSegmentReader,
  WalSource,
  WalSourceDescription,
} from './wal-source.js'

/** What a look for segments has found. */
interface WalFiles extends ChosenSegments<SegmentPlace> {
  readonly place: string
  readonly failure: string | undefined
}

/** Segments that are files, or lie in files as they are. */
export function fileWalSource({ place, segments, unusedPartials, failure }: WalFiles): WalSource {
  return {
    place,
    names: [...segments.keys()],
    failure,
    hasUnusedPartial: (name) => unusedPartials.has(name),
    open: (name) => openSegment(segments.get(name) ?? { path: `${place}/${name}`, part: undefined }),
    description: { place, segments },
  }
}

/** Makes a source of its description, in any thread. */
export function openWalSource(description: WalSourceDescription): WalSource {
  return fileWalSource({ ...description, unusedPartials: new Set(), failure: undefined })
}

/** @throws `NotARegularFileError`, or the error of the system */
export function openSegment({ path, part }: SegmentPlace): WalSegmentReader {
  const { descriptor, stats } = openRegularFile(path)
  const stored = part ?? { offset: 0, size: stats.size, stretches: undefined }
  const { size } = stored
  return {
    size,
    read: (buffer, position) => {
      const wanted = buffer.subarray(0, Math.min(buffer.length, Math.max(size - position, 0)))
      if (stored.stretches === undefined) return readFully(descriptor, wanted, stored.offset + position)
      wanted.fill(0)
      const isWhole = storedPieces(stored, stored.stretches, wanted, position).every(
        (piece) => readFully(descriptor, piece.buffer, piece.offset) === piece.buffer.length,
      )
      return isWhole ? wanted.length : 0
    },
    close: () => closeSync(descriptor),
  }
}

/** Where in the other file the bytes are that belong into this buffer, but for holes. */
export function storedPieces(
  { offset }: StoredPart,
  stretches: readonly StoredStretch[],
  buffer: Buffer,
  position: number,
): { readonly buffer: Buffer; readonly offset: number }[] {
  const pieces: { buffer: Buffer; offset: number }[] = []
  const end = position + buffer.length
  let storedBefore = 0
  for (const stretch of stretches) {
    const from = Math.max(stretch.position, position)
    const to = Math.min(stretch.position + stretch.length, end)
    if (from < to) {
      pieces.push({
        buffer: buffer.subarray(from - position, to - position),
        offset: offset + storedBefore + from - stretch.position,
      })
    }
    storedBefore += stretch.length
  }
  return pieces
}
