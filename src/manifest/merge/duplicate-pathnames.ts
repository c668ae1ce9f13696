import { PathnameHash } from '../../files/pathname-hash.js'
import { decodePathname, displayPathname, type Pathname } from '../../files/pathname.js'
import { parseFragmentLine } from '../fragment/fragment-lines.js'
import { type FragmentLine, readFragment } from '../fragment/read-fragment.js'
import { RepeatedNumbers } from './repeated-numbers.js'

/** How many duplicates are named one by one. */
const MAX_NAMED = 100

/**
 * Finds the pathnames that are recorded more than once, over all fragments of a merge.
 *
 * It keeps a hash of each, 9 bytes, by a key of its own. Two pathnames with the same hash are only suspects: the fragments are
 * read again to compare the names themselves, which only a merge that fails has to pay, or, of a million files, one in twenty
 * thousand.
 */
export class DuplicatePathnames {
  readonly #hash = new PathnameHash()
  readonly #seen: RepeatedNumbers

  /** @param expected - how many pathnames there will probably be */
  constructor(expected: number) {
    this.#seen = new RepeatedNumbers(expected)
  }

  /** Takes note of a pathname. */
  add({ pathnameBytes, pathnameStart, pathnameEnd }: FragmentLine): void {
    this.#seen.add(this.#hash.hash53(pathnameBytes, pathnameStart, pathnameEnd))
  }

  /**
   * Says of each duplicate where it stands.
   *
   * @throws {@link PbManifestError} `IO`
   */
  async describe(fragments: readonly string[]): Promise<string[]> {
    const suspects = this.#seen.find()
    if (suspects.size === 0) return []
    const places = new Map<Pathname, Place[]>()
    for (const path of fragments) {
      await readFragment(path, {
        onLine: (line) => {
          const { pathnameBytes, pathnameStart, pathnameEnd } = line
          if (!suspects.has(this.#hash.hash53(pathnameBytes, pathnameStart, pathnameEnd))) return
          const pathname = decodePathname(pathnameBytes.subarray(pathnameStart, pathnameEnd))
          places.set(pathname, [...(places.get(pathname) ?? []), { path, line: textOf(line) }])
        },
      })
    }
    const duplicates = [...places].filter(([, at]) => at.length > 1)
    const lines = duplicates.slice(0, MAX_NAMED).map(([pathname, at]) => describeOne(pathname, at))
    const more = duplicates.length - lines.length
    return more === 0 ? lines : [...lines, `${more} more pathnames are recorded more than once`]
  }
}

interface Place {
  readonly path: string
  /** The whole line, each byte a character. */
  readonly line: string
}

function textOf({ bytes, start, end }: FragmentLine): string {
  return bytes.toString('latin1', start, end)
}

function describeOne(pathname: Pathname, places: readonly Place[]): string {
  const contents = new Set(places.map(({ line }) => contentOf(line)))
  const fragments = places.map(({ path }) => `"${path}"`).join(' and ')
  const how = contents.size === 1 ? 'with the same checksum' : 'with another checksum or size'
  return `"${displayPathname(pathname)}" is recorded in ${fragments}, ${how}`
}

/** What makes two records of a file the same: its size and checksum. */
function contentOf(line: string): string {
  const file = parseFragmentLine(Buffer.from(line, 'latin1'))
  return typeof file === 'string' ? line : `${file.size} ${file.checksum?.hex ?? ''}`
}
