import { closeSync, readdirSync, readSync } from 'node:fs'
import { openRegularFile } from '../../files/open-regular-file.js'
import { describeSystemError } from '../../files/system-error.js'
import type { WalSegmentReader, WalSource } from './wal-source.js'

/** What a look into directories has found. */
interface WalFiles {
  readonly place: string
  /** The path of each segment by its name. */
  readonly paths: ReadonlyMap<string, string>
  /** Segments that are there as a `.partial` file only. */
  readonly unusedPartials: ReadonlySet<string>
  readonly failure: string | undefined
}

const SEGMENT_FILE = /^([0-9A-F]{24})(\.partial)?$/

/**
 * Lists the WAL segments in the directories; one that is in several of them is taken from the first.
 *
 * A list, because a manifest may name more segments than anybody could look for one by one.
 *
 * @param usePartial - whether `NAME.partial` is taken for the segment `NAME` where that is missing. The server and
 * `pg_receivewal` give such names to segments that were not finished.
 */
export function listWalSegments(directories: readonly [string, ...string[]], usePartial: boolean): WalSource {
  const paths = new Map<string, string>()
  const partials = new Map<string, string>()
  let failure: string | undefined
  for (const directory of directories) {
    try {
      for (const file of readdirSync(directory)) {
        const [, name, ending] = SEGMENT_FILE.exec(file) ?? []
        const found = ending === undefined ? paths : partials
        if (name !== undefined && !found.has(name)) found.set(name, `${directory}/${file}`)
      }
    } catch (error) {
      const description = describeSystemError(error)
      if (description === undefined) throw error
      failure ??= description.message
    }
  }
  const missing = [...partials].filter(([name]) => !paths.has(name))
  if (usePartial) for (const [name, path] of missing) paths.set(name, path)
  return directoryWalSource({
    place: directories[0],
    paths,
    unusedPartials: new Set(usePartial ? [] : missing.map(([name]) => name)),
    failure: paths.size === 0 ? failure : undefined,
  })
}

/** Segments that are files. */
export function directoryWalSource({ place, paths, unusedPartials, failure }: WalFiles): WalSource {
  return {
    place,
    names: [...paths.keys()],
    failure,
    hasUnusedPartial: (name) => unusedPartials.has(name),
    open: (name) => openSegmentFile(paths.get(name) ?? `${place}/${name}`),
    description: { type: 'directory', place, paths },
  }
}

function openSegmentFile(path: string): WalSegmentReader {
  const { descriptor, stats } = openRegularFile(path)
  return {
    size: stats.size,
    read: (buffer, position) => readFully(descriptor, buffer, position),
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
