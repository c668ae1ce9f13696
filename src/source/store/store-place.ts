import { isPbManifestError } from '../../errors.js'
import { parseArchiveName, pathnamePrefix } from '../tar/archive.js'
import { ArchiveNotThereError, type ArchivePlace } from '../tar/archive-place.js'
import type { ListedObject } from './list-objects.js'
import { readObjectAhead } from './read-object.js'
import type { StoreClient } from './store-client.js'
import { StoreError, storeFailure } from './store-error.js'

/** The archives among the objects directly below a prefix, by what stands before the names of their members in a manifest. */
export function archivesAmong(objects: Iterable<ListedObject>): Map<string, ListedObject> {
  const archives = new Map<string, ListedObject>()
  for (const object of objects) {
    const parsed = parseArchiveName(object.pathname)
    const prefix = parsed && pathnamePrefix(parsed.contents)
    if (prefix !== undefined && !archives.has(prefix)) archives.set(prefix, object)
  }
  return archives
}

/** A backup in tar format in an object store. */
export function storePlace(client: StoreClient, archives: ReadonlyMap<string, ListedObject>): ArchivePlace {
  return {
    shown: client.address.shown,
    isRepeatable: true,
    async *open(archive, signal) {
      const object = archives.get(pathnamePrefix(archive.contents))
      if (object === undefined) throw new ArchiveNotThereError('No such object')
      archive.name = object.pathname
      try {
        yield* readObjectAhead(client, object, signal)
      } catch (error) {
        if (signal.aborted && isPbManifestError(error)) return
        throw error instanceof StoreError && !error.isOfObject
          ? storeFailure(`could not read "${client.address.shown}"`, error)
          : error
      }
    },
  }
}
