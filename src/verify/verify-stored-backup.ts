import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { PbManifestError } from '../errors.js'
import { comparePathnames, displayPathname, type Pathname } from '../files/pathname.js'
import { openManifest } from '../manifest/read-manifest.js'
import { startRun } from '../run-facts.js'
import { type ListedObject, listObjects, marksAmong } from '../source/store/list-objects.js'
import { parseStoreAddress } from '../source/store/store-address.js'
import { StoreClient } from '../source/store/store-client.js'
import { archivesAmong, storePlace } from '../source/store/store-source.js'
import type { StoreOptions } from '../source/store/store-settings.js'
import { decideContentOfObjects } from './content/decide-content-rules.js'
import { demandSignature } from './demand-signature.js'
import { FileTable } from './file-table/file-table.js'
import { IgnoreRules } from './ignore-rules.js'
import type { VerifyOptions } from './options.js'
import type { VerifyReport } from './report.js'
import type { VerificationShare } from './share.js'
import { ListedTree } from './store/listed-tree.js'
import { SmallObjects } from './store/small-objects.js'
import { isStoredAsTar, listWithManifest, told } from './store/stored-manifest.js'
import { StoredBackup } from './store/stored-backup.js'
import { type Verification, verifyFiles } from './verify-files.js'

/** How to verify a backup in an object store, and how to reach that. */
export interface VerifyStoredOptions extends Omit<VerifyOptions, 'writtenArchives'> {
  readonly store: StoreOptions
  /**
   * `read`: every file is read. `stored`: of a backup in plain format, the manifest is compared with the checksum (CRC-32C or SHA-256, of
   * the whole object) that the store keeps of each file, and only those files are read of which it keeps none, or another one. Without
   * a problem, the verdict is then `sampled`, for nobody has seen the bytes. Default `read`.
   */
  readonly checksums?: 'read' | 'stored'
  /** Is told in words that the store is asked again, and why, once a second at most for each thread. */
  readonly onRetry?: (words: string) => void
}

/** Connections of the main thread; those that read files have their own. */
const CONNECTIONS = 32

/**
 * Verifies a backup where it lies in an object store that speaks the protocol of S3: in plain format, each file an object, or
 * in tar format. Nothing is written anywhere, and nothing outside the prefix is read.
 *
 * The objects are those of one listing: one that is replaced meanwhile is not read, and when the listing at the end is another one,
 * there is no report.
 *
 * @param address - `s3://BUCKET/PREFIX`
 * @throws as {@link verifyBackup}
 */
export async function verifyStoredBackup(
  address: string,
  options: VerifyStoredOptions,
): Promise<VerifyReport> {
  return await verifyShareOfStoredBackup(undefined, address, options)
}

/** The same for one share of the backup: see `src/shards`. */
export async function verifyShareOfStoredBackup(
  share: VerificationShare | undefined,
  address: string,
  options: VerifyStoredOptions,
): Promise<VerifyReport> {
  const endRun = startRun()
  const { store, jobs = availableParallelism(), signal, manifestPath } = options
  const client = new StoreClient(parseStoreAddress(address), store, CONNECTIONS, options.onRetry)
  const { shown } = client.address
  refuseBesideStoredChecksums(share, options)
  if (options.allowedSigners !== undefined && (options.signaturePath ?? manifestPath) === undefined) {
    throw new PbManifestError('USAGE', 'no signature was given', {
      hint: 'It has to be a file of this machine: --signature names it.',
    })
  }
  try {
    const signature = await demandSignature(options)
    const list = (marks?: readonly Pathname[]): Promise<readonly ListedObject[]> =>
      told(`could not list "${shown}"`, listObjects(client, signal, marks))
    const { objects, manifest: opened } =
      manifestPath === undefined
        ? await listWithManifest(client, signal)
        : { objects: await list(), manifest: await openManifest(manifestPath, { mayBePipe: true, signal }) }
    share?.onListing(digestOf(objects))
    const source = signature?.watch(opened) ?? opened
    const ignore = new IgnoreRules(options.ignore ?? [])
    const common = {
      directory: shown,
      path: null,
      endRun,
      options,
      asked: options.checksums === 'stored' ? { checksums: options.checksums } : {},
      jobs,
      ignore,
      source,
      signature,
      table: FileTable.of(source),
      share,
    }
    const report = await told(
      `could not read "${shown}"`,
      (options.format === undefined ? isStoredAsTar(objects) : options.format === 'tar')
        ? verifyArchives(client, objects, common)
        : verifyObjects(client, objects, common, options),
    )
    requireSame(shown, objects, await list(marksAmong(objects.map(({ key }) => key))))
    return report
  } finally {
    client.close()
  }
}

type Common = Omit<Verification, 'content'>

/** @throws {@link PbManifestError} `USAGE` */
function refuseBesideStoredChecksums(
  share: VerificationShare | undefined,
  { checksums, skipChecksums, pageChecksums }: VerifyStoredOptions,
): void {
  if (checksums !== 'stored') return
  if (share !== undefined) throw new PbManifestError('USAGE', 'cannot compare stored checksums in a shard')
  if (skipChecksums === true) {
    throw new PbManifestError('USAGE', 'cannot both compare stored checksums and skip checksums')
  }
  if (pageChecksums === 'on') {
    throw new PbManifestError('USAGE', 'cannot check page checksums where stored checksums are compared', {
      hint: 'They are in the files, which are not read then.',
    })
  }
}

async function verifyObjects(
  client: StoreClient,
  objects: readonly ListedObject[],
  common: Common,
  { store, checksums, onRetry }: VerifyStoredOptions,
): Promise<VerifyReport> {
  const { options, jobs, ignore, source, table } = common
  const tree = new ListedTree(objects)
  const small = await SmallObjects.fetch(client, tree, options.signal)
  const content = decideContentOfObjects(options, ignore, (...file) => small.read(...file))
  const manifestBytes = source.size
  const backup = new StoredBackup({
    client,
    store,
    usesStoredChecksums: checksums === 'stored',
    onRetry,
    tree,
    small,
    options,
    jobs,
    content,
    table,
    manifestBytes,
  })
  try {
    return await verifyFiles(backup, { ...common, content })
  } finally {
    await backup.close()
  }
}

async function verifyArchives(
  client: StoreClient,
  objects: readonly ListedObject[],
  common: Common,
): Promise<VerifyReport> {
  if (common.asked?.checksums === 'stored') {
    throw new PbManifestError('USAGE', 'cannot compare stored checksums of a backup in tar format', {
      hint: 'What the store keeps is of whole archives, and the manifest has checksums of the files in them.',
    })
  }
  const { TarBackup } = await import('./tar/tar-backup.js')
  const { chooseArchives } = await import('./tar/list-archives.js')
  const place = storePlace(client, archivesAmong(objects))
  const backup = new TarBackup({
    directory: client.address.shown,
    options: common.options,
    place,
    onScan: ({ ignore, problems }) => {
      chooseArchives(
        objects.map(({ pathname, size }) => ({ name: pathname, size, path: '' })),
        ignore,
        problems,
      )
    },
  })
  try {
    return await verifyFiles(backup, { ...common, content: undefined })
  } finally {
    await backup.close()
  }
}

/** The same for the same objects, whoever lists them. */
function digestOf(objects: readonly ListedObject[]): string {
  const hash = createHash('sha256')
  for (const { pathname, etag, size } of objects.toSorted((left, right) =>
    comparePathnames(left.pathname, right.pathname),
  ))
    hash.update(`${JSON.stringify([pathname, etag, size])}\n`)
  return hash.digest('hex')
}

/** Requires that nothing has changed while it was looked at. */
function requireSame(shown: string, before: readonly ListedObject[], after: readonly ListedObject[]): void {
  const known = new Map<Pathname, ListedObject>(before.map((object) => [object.key, object]))
  const changes: Pathname[] = []
  for (const { key, pathname, etag, size } of after) {
    const object = known.get(key)
    known.delete(key)
    if (object?.etag !== etag || object.size !== size) changes.push(pathname)
  }
  for (const { pathname } of known.values()) changes.push(pathname)
  const [first] = changes
  if (first === undefined) return
  throw new PbManifestError('IO', `the backup in "${shown}" has changed while it was verified`, {
    details: [
      `of ${changes.length} objects, "${displayPathname(first)}" is the first that came, went or was replaced`,
    ],
    hint: 'Somebody writes there: verify it again when that is done.',
  })
}
