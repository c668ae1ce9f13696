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
