import { displayPathname, type Pathname } from '../../files/pathname.js'
import { readFragment } from '../fragment/read-fragment.js'
import type { FileChecksum } from '../model.js'

/** How many duplicates are named one by one. */
const MAX_NAMED = 100

/** Finds the pathnames that are recorded more than once, over all fragments of a merge. */
export class DuplicatePathnames {
  readonly #seen = new Set<Pathname>()
  readonly #duplicates = new Set<Pathname>()

  /** Takes note of a pathname. */
  add(pathname: Pathname): void {
    const before = this.#seen.size
    this.#seen.add(pathname)
    if (this.#seen.size === before) this.#duplicates.add(pathname)
  }

  /** Says of each duplicate where it stands. Reads the fragments again, which only a failed merge has to pay. */
  describe(fragments: readonly string[]): string[] {
    if (this.#duplicates.size === 0) return []
    const named = new Set([...this.#duplicates].slice(0, MAX_NAMED))
    const places = new Map<Pathname, Place[]>()
    for (const path of fragments) {
      for (const item of readFragment(path)) {
        if (item.type !== 'file' || !named.has(item.file.pathname)) continue
        const place: Place = { path, size: item.file.size, checksum: item.file.checksum }
        places.set(item.file.pathname, [...(places.get(item.file.pathname) ?? []), place])
      }
    }
    const lines = [...places].map(([pathname, at]) => describeOne(pathname, at))
    const more = this.#duplicates.size - named.size
    return more === 0 ? lines : [...lines, `${more} more pathnames are recorded more than once`]
  }
}

interface Place {
  readonly path: string
  readonly size: number
  readonly checksum: FileChecksum | undefined
}

function describeOne(pathname: Pathname, places: readonly Place[]): string {
  const [first] = places
  const isSame = places.every(
    (place) => place.checksum?.hex === first?.checksum?.hex && place.size === first?.size,
  )
  const fragments = places.map(({ path }) => `"${path}"`).join(' and ')
  const how = isSame ? 'with the same checksum' : 'with another checksum or size'
  return `"${displayPathname(pathname)}" is recorded in ${fragments}, ${how}`
}
