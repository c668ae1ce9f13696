import { PbManifestError } from '../../errors.js'
import type { Pathname } from '../../files/pathname.js'
import { displayPathname } from '../../files/pathname.js'
import { keepsContent } from '../../manifest/contents/written-archives.js'
import { readWholeObject } from '../../source/store/read-object.js'
import type { StoreClient } from '../../source/store/store-client.js'
import { StoreError } from '../../source/store/store-error.js'
import type { ListedTree } from './listed-tree.js'

/** The small files of a backup in an object store, fetched before anybody asks. */
export class SmallObjects {
  readonly #shown: string
  readonly #tree: ListedTree
  readonly #found: ReadonlyMap<Pathname, Buffer | StoreError>

  private constructor(shown: string, tree: ListedTree, found: ReadonlyMap<Pathname, Buffer | StoreError>) {
    this.#shown = shown
    this.#tree = tree
    this.#found = found
  }

  /** @throws {@link StoreError} when nothing can be had of the store */
  static async fetch(
    client: StoreClient,
    tree: ListedTree,
    signal: AbortSignal | undefined,
  ): Promise<SmallObjects> {
    const wanted = [...tree.files].filter(
      ([pathname, { size }]) => keepsContent(pathname, size) && !pathname.endsWith('/PG_VERSION'),
    )
    const found = await Promise.all(
      wanted.map(async ([pathname, object]) => {
        try {
          return [pathname, await readWholeObject(client, object, signal)] as const
        } catch (error) {
          if (!(error instanceof StoreError) || !error.isOfObject) throw error
          return [pathname, error] as const
        }
      }),
    )
    return new SmallObjects(client.address.shown, tree, new Map<Pathname, Buffer | StoreError>(found))
  }

  /** @throws {@link PbManifestError} `IO` */
  read(pathname: Pathname, maxBytes: number): Buffer | undefined {
    const object = this.#tree.files.get(pathname)
    if (object === undefined) return undefined
    const found = this.#found.get(pathname)
    const attempt = `could not read file "${displayPathname(`${this.#shown}/${pathname}`)}"`
    if (found instanceof StoreError)
      throw new PbManifestError('IO', `${attempt}: ${found.message}`, { cause: found })
    if (object.size > maxBytes) {
      throw new PbManifestError('IO', `${attempt}: it has ${object.size} bytes, more than ${maxBytes}`)
    }
    if (found === undefined) throw new PbManifestError('IO', `${attempt}: it was not fetched`)
    return found
  }
}
