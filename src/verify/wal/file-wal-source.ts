import { closeSync, readSync } from 'node:fs'
import { openRegularFile } from '../../files/open-regular-file.js'
import type { ChosenSegments } from './choose-segments.js'
import type { WalSegmentReader, WalSource } from './wal-source.js'

/** Where the bytes of a segment are. Plain data: it crosses threads. */
export interface SegmentPlace {
  readonly path: string
  /** Which of the file's bytes; `undefined`: all. */
  readonly part: { readonly offset: number; readonly size: number } | undefined
}

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

/** @throws `NotARegularFileError`, or the error of the system */
export function openSegment({ path, part }: SegmentPlace): WalSegmentReader {
  const { descriptor, stats } = openRegularFile(path)
  const { offset, size } = part ?? { offset: 0, size: stats.size }
  return {
    size,
    read: (buffer, position) => {
      const length = Math.min(buffer.length, Math.max(size - position, 0))
      return readFully(descriptor, buffer.subarray(0, length), offset + position)
    },
    close: () => closeSync(descriptor),
  }
}

function readFully(descriptor: number, buffer: Buffer, position: number): number {
  let length = 0
  while (length < buffer.length) {
    const read = readSync(descriptor, buffer, length, buffer.length - length, position + length)
    if (read === 0) break
    length += read
  }
  return length
}
