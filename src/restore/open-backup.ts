import { lstatSync, readlinkSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { isPbManifestError, PbManifestError } from '../errors.js'
import { decodePathname, displayPathname, type Pathname, pathOf } from '../files/pathname.js'
import { readNames } from '../files/read-directory.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import { type ManifestSource, openManifest, openManifestStream } from '../manifest/read-manifest.js'
import { TABLESPACE_MAP } from '../postgres/data-directory.js'
import { parseTablespaceMap } from '../postgres/tablespace-map.js'
import { parsePositiveUnsignedInt32 } from '../postgres/unsigned-int.js'
import type { BackupSource } from '../source/backup-source.js'
import { commandPlace, fetchManifest } from '../source/command/command-place.js'
import { openDirectorySource, requireDirectory } from '../source/directory-source.js'
import { type ListedObject, listObjects } from '../source/store/list-objects.js'
import { parseStoreAddress } from '../source/store/store-address.js'
import { StoreClient } from '../source/store/store-client.js'
import { openStoreSource, storedArchives } from '../source/store/store-source.js'
import { remoteArchive } from '../source/tar/archive-place.js'
import { archivesIn, openTarSource, type TarSet } from '../source/tar/tar-source.js'
import type { ClusterTablespace } from '../target/target-directory.js'
import { detectBackupFormat } from '../verify/detect-backup-format.js'
import { FileTable, tablespacesIn } from '../verify/file-table/file-table.js'
import { isStoredAsTar, openStoredManifest, told } from '../verify/store/stored-manifest.js'
import { loadManifest, type ManifestContents } from '../verify/manifest-files.js'
import type { RestoreOptions, RestoreSource } from './options.js'

const MANIFEST = 'backup_manifest'

/** A longer tablespace_map is none. */
const MAX_MAP_BYTES = 1024 * 1024

/** A backup that is to be restored. */
export interface OpenedBackup {
  /** As it is shown. */
  readonly shown: string
  readonly source: BackupSource
  readonly manifest: ManifestContents
  /** The manifest's bytes. */
  readonly manifestChunks: readonly Buffer[]
  readonly tablespaces: readonly ClusterTablespace[]
  /** Whether the group may read the data directory. */
  readonly hasGroupAccess: boolean
  /** The objects of one in a store. */
  readonly listed?: readonly ListedObject[]
}

/**
 * Opens a backup, reads its manifest, and finds its tablespaces.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST`, `BAD_FILE`, `IO`, `USAGE` or `ABORTED`
 */
export async function openBackup(from: RestoreSource, options: RestoreOptions): Promise<OpenedBackup> {
  if ('fetchCommand' in from) return await openFetched(from, options)
  if ('address' in from) return await openStored(from, options)
  const { directory } = from
  requireDirectory(directory)
  const read = await readManifest(options, () => openManifest(`${directory}/${MANIFEST}`))
  if (detectBackupFormat(directory) === 'tar') {
    const archives = archivesIn(directory)
    return await openTar({ shown: directory, archives, place: undefined }, read, options)
  }
  const source = openDirectorySource(directory)
  const map = await readMap(source, read.manifest)
  return {
    ...read,
    shown: directory,
    source,
    tablespaces: map ?? linkedTablespaces(directory),
    hasGroupAccess: (statSync(directory).mode & 0o777) === 0o750,
  }
}

/** Connections; each lane has one. */
const CONNECTIONS = 64

async function openStored(
  { address, store }: Extract<RestoreSource, { readonly address: string }>,
  options: RestoreOptions,
): Promise<OpenedBackup> {
  const { signal, onRetry } = options
  const client = new StoreClient(parseStoreAddress(address), store, CONNECTIONS, onRetry)
  const { shown } = client.address
  const objects = await told(`could not list "${shown}"`, listObjects(client, signal))
  const read = await readManifest(options, () => openStoredManifest(client, objects, signal))
  if (isStoredAsTar(objects)) {
    return { ...(await openTar(storedArchives(client, objects), read, options)), listed: objects }
  }
  const source = openStoreSource(client, objects, signal)
  const map = await readMap(source, read.manifest)
  return { ...read, shown, source, tablespaces: map ?? [], hasGroupAccess: false, listed: objects }
}

async function openFetched(
  { fetchCommand, fetchTimeoutSeconds }: Extract<RestoreSource, { readonly fetchCommand: string }>,
  options: RestoreOptions,
): Promise<OpenedBackup> {
  const { onNotice, signal } = options
  const fetching = {
    command: fetchCommand,
    timeoutSeconds: fetchTimeoutSeconds,
    // What comes is compared with the manifest, or is WAL, whose records have checksums.
    onNoise: (message: string) => onNotice?.(message),
  }
  const place = commandPlace(fetching)
  const read = await readManifest(options, () =>
    openManifestStream(MANIFEST, fetchManifest(fetching, MANIFEST, signal), signal),
  )
  const archives = [
    remoteArchive('base'),
    ...tablespacesIn(read.manifest.table).map(remoteArchive),
    remoteArchive('pg_wal'),
  ]
  return await openTar({ shown: fetchCommand, archives, place }, read, options)
}

type ReadManifest = Pick<OpenedBackup, 'manifest' | 'manifestChunks'>

async function openTar(
  { shown, archives, place }: Pick<TarSet, 'shown' | 'archives' | 'place'>,
  read: ReadManifest,
  { signal }: RestoreOptions,
): Promise<OpenedBackup> {
  const set = { shown, place, signal }
  const base = archives.filter(({ contents }) => contents === 'base')
  if (base.length === 0) {
    throw new PbManifestError('IO', `there is no archive "base.tar" in "${displayPathname(shown)}"`)
  }
  const map = await readMap(openTarSource({ ...set, archives: base }), read.manifest)
  return {
    ...read,
    shown,
    source: openTarSource({ ...set, archives }),
    tablespaces: map ?? [],
    hasGroupAccess: false,
  }
}

async function readManifest(
  { manifestPath, signal }: RestoreOptions,
  open: () => Promise<ManifestSource>,
): Promise<ReadManifest> {
  const opened =
    manifestPath === undefined ? await open() : await openManifest(manifestPath, { mayBePipe: true, signal })
  const manifestChunks: Buffer[] = []
  const source: ManifestSource = {
    ...opened,
    *chunks() {
      for (const chunk of opened.chunks()) {
        // It is written behind all files, as it is now.
        manifestChunks.push(Buffer.from(chunk))
        yield chunk
      }
    },
  }
  const manifest = await loadManifest(source, FileTable.of(source), () => {}, signal)
  return { manifest, manifestChunks }
}

/** The tablespaces that the backup's tablespace_map names; `undefined` where it has none. */
async function readMap(
  source: BackupSource,
  { table }: ManifestContents,
): Promise<readonly ClusterTablespace[] | undefined> {
  const row = table.find(TABLESPACE_MAP)
  if (row === -1) return undefined
  for await (const file of source.files([TABLESPACE_MAP])) {
    if (file.type !== 'file') {
      const why = file.type === 'absent' ? 'it is not in the backup' : file.message
      throw new PbManifestError('IO', `could not read file "${TABLESPACE_MAP}": ${why}`)
    }
    if (file.size !== table.size(row) || file.size > MAX_MAP_BYTES) break
    const parts: Buffer[] = []
    for await (const chunk of file.chunks()) parts.push(Buffer.from(chunk))
    return parseTablespaceMap(decodePathname(Buffer.concat(parts)), TABLESPACE_MAP)
  }
  throw new PbManifestError('IO', `file "${TABLESPACE_MAP}" of the backup is not that of the manifest`)
}

/** Where the links of a backup in plain format lead to. */
function linkedTablespaces(directory: string): ClusterTablespace[] {
  return namesIn(directory, 'pg_tblspc').flatMap((name) => {
    const oid = parsePositiveUnsignedInt32(name)
    const pathname = `pg_tblspc/${name}`
    if (oid === undefined || !lstatSync(pathOf(directory, pathname)).isSymbolicLink()) return []
    const target = decodePathname(readlinkSync(pathOf(directory, pathname), { encoding: 'buffer' }))
    return [
      {
        oid,
        location: target.startsWith('/') ? target : resolve(dirname(`${directory}/${pathname}`), target),
      },
    ]
  })
}

function namesIn(directory: string, pathname: Pathname): Pathname[] {
  try {
    return readNames(`${directory}/${pathname}`)
  } catch (error) {
    if (describeSystemError(error)?.code === 'ENOENT') return []
    const failure = ioError(`could not open directory "${pathname}"`, error)
    throw isPbManifestError(failure) ? failure : error
  }
}
