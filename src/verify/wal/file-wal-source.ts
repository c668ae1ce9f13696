import { closeSync, readdirSync } from 'node:fs'
import { openRegularFile } from '../../files/open-regular-file.js'
import { readFully } from '../../files/read-fully.js'
import type { StoredStretch } from '../../files/tar/sparse-member.js'
import {
  chooseSegments,
  type ChosenSegments,
  type SegmentPlace,
  type StoredPart,
  type WalSegmentReader,
  type WalSource,
  type WalSourceDescription,
} from './wal-source.js'
import { describeSystemError } from '../../files/system-error.js'

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

/**
 * Lists the WAL segments in the directories; one that is in several of them is taken from the first.
 *
 * A list, because a manifest may name more segments than anybody could look for one by one.
 *
 * @param usePartial - see {@link chooseSegments}
 */
export function listWalSegments(directories: readonly [string, ...string[]], usePartial: boolean): WalSource {
  const files: [string, SegmentPlace][] = []
  const failures: string[] = []
  for (const directory of directories) {
    try {
      for (const file of readdirSync(directory)) {
        files.push([file, { path: `${directory}/${file}`, part: undefined }])
      }
    } catch (error) {
      const description = describeSystemError(error)
      if (description === undefined) throw error
      failures.push(description.message)
    }
  }
  const chosen = chooseSegments(files, usePartial)
  return fileWalSource({
    ...chosen,
    place: directories[0],
    // One that is there and has no segment is no failure.
    failure: failures.length === directories.length ? failures[0] : undefined,
  })
}

/** Where pg_waldump looks: in the directory, then in pg_wal below it. */
export function walDirectoriesOf(walDirectory: string): readonly [string, ...string[]] {
  return [walDirectory, `${walDirectory}/pg_wal`]
}
