import type { StoredStretch } from '../../files/tar/sparse-member.js'

/** One segment, opened for reading. */
export interface WalSegmentReader {
  /** Bytes of the segment. */
  readonly size: number
  /**
   * Fills the buffer with what begins at this position.
   *
   * @returns how many bytes; fewer than the buffer takes only at the segment's end. A promise of that only from a source
   * without a description.
   * @throws `DamagedArchiveError`, or the error of the system
   */
  read(buffer: Buffer, position: number): number | Promise<number>
  close(): void
}

/** Where WAL segments come from. */
export interface WalSource {
  /** Where they were looked for, as it is shown. */
  readonly place: string
  /** The names of those that are there. */
  readonly names: readonly string[]
  /** Why there are none, or fewer than there could be. */
  readonly failure: string | undefined
  /** Why only names and sizes can be had, and no bytes; a sentence. */
  readonly whyNoBytes?: string
  /** Whether the segment is there as a `.partial` file only, which was not asked for. */
  hasUnusedPartial(name: string): boolean
  /**
   * The caller closes it.
   *
   * @throws `NotARegularFileError`, or the error of the system
   */
  open(name: string): WalSegmentReader
  /** From what another thread makes the same source; `undefined` when it can be read in this thread only. */
  readonly description: WalSourceDescription | undefined
}

/** WAL, and what is open for it. */
export interface OpenedWal {
  readonly source: WalSource
  readonly close: () => Promise<void>
}

/** A source as plain data, which crosses threads. */
export interface WalSourceDescription {
  readonly place: string
  /** Where each segment is, by its name. */
  readonly segments: ReadonlyMap<string, SegmentPlace>
}

/** Where the bytes of a segment are. Plain data: it crosses threads. */
export interface SegmentPlace {
  readonly path: string
  /** Which of the file's bytes; `undefined`: all. */
  readonly part: StoredPart | undefined
}

/** The bytes of a segment that lie in another file. */
export interface StoredPart {
  /** Where what is stored of the segment begins. */
  readonly offset: number
  /** Of the segment. */
  readonly size: number
  /** What of it is stored, between holes of zeros; `undefined`: all. */
  readonly stretches: readonly StoredStretch[] | undefined
}

/** The segments among other files. */
export interface ChosenSegments<Place> {
  /** Where each is, by its name. */
  readonly segments: ReadonlyMap<string, Place>
  /** Segments that are there as a `.partial` file only, which was not asked for. */
  readonly unusedPartials: ReadonlySet<string>
}

const SEGMENT_FILE = /^([0-9A-F]{24})(\.partial)?$/

/**
 * Finds the segments among files; of several with one name the first is taken.
 *
 * @param files - their names, and where they are
 * @param usePartial - whether `NAME.partial` is taken for the segment `NAME` where that is missing. The server and
 * `pg_receivewal` give such names to segments that were not finished.
 */
export function chooseSegments<Place>(
  files: Iterable<readonly [name: string, place: Place]>,
  usePartial: boolean,
): ChosenSegments<Place> {
  const segments = new Map<string, Place>()
  const partials = new Map<string, Place>()
  for (const [file, place] of files) {
    const [, name, ending] = SEGMENT_FILE.exec(file) ?? []
    const found = ending === undefined ? segments : partials
    if (name !== undefined && !found.has(name)) found.set(name, place)
  }
  const missing = [...partials].filter(([name]) => !segments.has(name))
  if (!usePartial) return { segments, unusedPartials: new Set(missing.map(([name]) => name)) }
  for (const [name, place] of missing) segments.set(name, place)
  return { segments, unusedPartials: new Set() }
}
