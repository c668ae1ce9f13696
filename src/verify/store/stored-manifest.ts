import { PbManifestError } from '../../errors.js'
import { comparePathnames, displayPathname, type Pathname } from '../../files/pathname.js'
import {
  MANIFEST_CHUNK_BYTES,
  type ManifestSource,
  openManifestStream,
} from '../../manifest/read-manifest.js'
import { findObject, type ListedObject, listObjects, marksAmong } from '../../source/store/list-objects.js'
import { readObject } from '../../source/store/read-object.js'
import type { StoreClient } from '../../source/store/store-client.js'
import { storeFailure } from '../../source/store/store-error.js'
import { archivesAmong } from '../../source/store/store-source.js'

const MANIFEST = 'backup_manifest'

/** Whether objects are a backup in tar format. */
export function isStoredAsTar(objects: readonly ListedObject[]): boolean {
  return !objects.some(({ pathname }) => pathname === 'PG_VERSION') && archivesAmong(objects).size > 0
}

/**
 * Reads the manifest of a backup in an object store into memory.
 *
 * @throws {@link PbManifestError} `IO`, with a hint at what is there, or as `openManifestStream`
 */
export async function openStoredManifest(
  client: StoreClient,
  objects: readonly ListedObject[],
  signal: AbortSignal | undefined,
): Promise<ManifestSource> {
  const { shown } = client.address
  const object = objects.find(({ pathname }) => pathname === MANIFEST)
  if (object === undefined) throw noManifest(shown, objects)
  const name = `${shown}/${MANIFEST}`
  return await told(
    `could not read "${name}"`,
    openManifestStream(name, inPieces(readObject(client, object, signal)), signal),
  )
}

/** A manifest as large as this has files enough for several pages of a listing. */
const LARGE_BYTES = 128 * 1024

/** All objects of a backup, and its manifest. */
export interface ListedBackup {
  readonly objects: readonly ListedObject[]
  readonly manifest: ManifestSource
}

/**
 * Lists a backup in an object store, and reads its manifest: before that, where it is large, as it tells which objects there are, so
 * that no page of the listing has to wait for the one before.
 *
 * @throws {@link PbManifestError} as {@link openStoredManifest}
 */
export async function listWithManifest(
  client: StoreClient,
  signal: AbortSignal | undefined,
): Promise<ListedBackup> {
  const { prefix, shown } = client.address
  const list = (marks?: readonly Pathname[]): Promise<readonly ListedObject[]> =>
    told(`could not list "${shown}"`, listObjects(client, signal, marks))
  const found = await findObject(client, MANIFEST, signal)
  if (found === undefined || found.size < LARGE_BYTES) {
    const objects = await list()
    return { objects, manifest: await openStoredManifest(client, objects, signal) }
  }
  const manifest = await openStoredManifest(client, [found], signal)
  const objects = await list(marksAmong(keysIn(manifest, prefix)))
  const listed = objects.find(({ pathname }) => pathname === MANIFEST)
  const isSame = listed?.etag === found.etag && listed.size === found.size
  return { objects, manifest: isSame ? manifest : await openStoredManifest(client, objects, signal) }
}

/** The keys that a backup's objects have as far as its manifest knows, in a store's order; a few may be left out. */
function keysIn(manifest: ManifestSource, prefix: Pathname): readonly Pathname[] {
  const keys = [prefix + MANIFEST]
  for (const chunk of manifest.chunks()) {
    for (const [, path] of chunk.toString('latin1').matchAll(/"Path": "([ !#-[\]-~]+)"/g))
      keys.push(prefix + path)
  }
  return keys.toSorted(comparePathnames)
}

function noManifest(shown: string, objects: readonly ListedObject[]): PbManifestError {
  const backups = objects
    .filter(({ pathname }) => pathname.endsWith(`/${MANIFEST}`))
    .map(({ pathname }) => pathname.slice(0, -MANIFEST.length - 1))
  const names = backups.slice(0, 3).map((name) => `"${displayPathname(`${shown}/${name}`)}"`)
  const more = backups.length > names.length ? ` and ${backups.length - names.length} more` : ''
  const hint =
    objects.length === 0
      ? 'There are no objects below this prefix.'
      : backups.length === 0
        ? `Of the ${objects.length} objects below this prefix, none is a manifest.`
        : `There is one below: ${names.join(', ')}${more}.`
  return new PbManifestError('IO', `could not open file "${shown}/${MANIFEST}": No such object`, { hint })
}

/** In pieces as a file is read, for the order of a report goes by them. */
async function* inPieces(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let kept: Buffer[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    kept.push(chunk)
    bytes += chunk.length
    if (bytes < MANIFEST_CHUNK_BYTES) continue
    const all = Buffer.concat(kept)
    const whole = bytes - (bytes % MANIFEST_CHUNK_BYTES)
    for (let at = 0; at < whole; at += MANIFEST_CHUNK_BYTES) yield all.subarray(at, at + MANIFEST_CHUNK_BYTES)
    kept = [all.subarray(whole)]
    bytes -= whole
  }
  if (bytes > 0) yield Buffer.concat(kept)
}

/** Makes an error of the whole backup's of what a store says. */
export async function told<Value>(attempt: string, promise: Promise<Value>): Promise<Value> {
  try {
    return await promise
  } catch (error) {
    throw storeFailure(attempt, error)
  }
}
