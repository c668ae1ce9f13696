import { isPbManifestError, PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import { type BackupSource, type SourceFile, SourceReadError } from '../backup-source.js'
import type { ListedObject } from './list-objects.js'
import { readObject, readObjectAhead } from './read-object.js'
import type { StoreClient } from './store-client.js'
import { ArchiveNotThereError, type ArchivePlace, remoteArchive } from '../tar/archive-place.js'
import { parseArchiveName, pathnamePrefix } from '../tar/archive.js'
import type { TarSet } from '../tar/tar-source.js'
import { StoreError, storeFailure } from './store-error.js'

/** What waits for a store needs no processor: so many lanes there are for each that was asked for, and at most. */
const LANES_EACH = 8
const MOST_LANES = 32

/** A backup in plain format in an object store, each file an object. */
export function openStoreSource(
  client: StoreClient,
  objects: readonly ListedObject[],
  signal: AbortSignal | undefined,
): BackupSource {
  const known = new Map(objects.map((object) => [object.pathname, object]))
  const source: BackupSource = {
    place: client.address.shown,
    lanes(wanted, count, also) {
      // One iterator: what a lane has taken, no other takes.
      const names = namesOf(wanted, also, known)
      return Array.from({ length: Math.min(count * LANES_EACH, MOST_LANES) }, () =>
        source.files({ [Symbol.iterator]: () => ({ next: () => names.next() }) }),
      )
    },
    async *files(wanted) {
      for (const pathname of wanted) yield fileOf(client, pathname, known.get(pathname), signal)
    },
  }
  return source
}

/**
 * The archives of a backup in tar format in an object store, to be opened as a source.
 *
 * @throws {@link PbManifestError} `IO`, for two that should hold the same
 */
export function storedArchives(
  client: StoreClient,
  objects: readonly ListedObject[],
): Pick<TarSet, 'shown' | 'archives' | 'place'> {
  const found = archivesAmong(objects)
  const archives = objects.flatMap(({ pathname }) => {
    const parsed = parseArchiveName(pathname)
    if (parsed === undefined) return []
    const other = found.get(pathnamePrefix(parsed.contents))?.pathname
    if (other === undefined || other === pathname) return [remoteArchive(parsed.contents)]
    const names = `"${displayPathname(pathname)}" and "${displayPathname(other)}"`
    throw new PbManifestError('IO', `${names} should hold the same part of the backup`)
  })
  return { shown: client.address.shown, archives, place: storePlace(client, found) }
}

function* namesOf(
  wanted: Iterable<Pathname>,
  also: RegExp | undefined,
  known: ReadonlyMap<Pathname, ListedObject>,
): Generator<Pathname, void, undefined> {
  const given = new Set<Pathname>()
  for (const pathname of wanted) {
    given.add(pathname)
    yield pathname
  }
  if (also === undefined) return
  for (const pathname of known.keys()) if (also.test(pathname) && !given.has(pathname)) yield pathname
}

function fileOf(
  client: StoreClient,
  pathname: Pathname,
  object: ListedObject | undefined,
  signal: AbortSignal | undefined,
): SourceFile {
  if (object === undefined) return { type: 'absent', pathname }
  const { size, modified } = object
  return { type: 'file', pathname, size, modified, chunks: () => chunksOf(client, object, signal) }
}

async function* chunksOf(
  client: StoreClient,
  object: ListedObject,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* readObject(client, object, signal)
  } catch (error) {
    if (error instanceof SourceReadError && error instanceof StoreError && !error.isOfObject) {
      throw storeFailure(`could not read "${client.address.shown}"`, error)
    }
    throw error
  }
}

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
