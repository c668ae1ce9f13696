import { encodePathname, isUtf8Pathname, type Pathname } from '../files/pathname.js'
import type { WalRange } from '../manifest/model.js'
import { formatLsn } from '../postgres/lsn.js'
import { version } from '../version.js'
import type { DiffedManifest, FileDifference, ManifestDiff } from './diff-manifests.js'
import type { ManifestFileList } from './list-manifest-files.js'
import type { InventoryFile } from './manifest-inventory.js'
import type { ManifestOverview } from './summarize-manifest.js'

const REPORT_VERSION = 1

/** As `schemas/manifest-overview.schema.json` says. */
export function formatOverviewAsJson(overview: ManifestOverview): string {
  const document = {
    reportVersion: REPORT_VERSION,
    pbmanifestVersion: version,
    ...overview,
    systemIdentifier: overview.systemIdentifier?.toString() ?? null,
    majorVersion: overview.majorVersion ?? null,
    walRanges: overview.walRanges.map(describeRange),
    oldestModification: overview.oldestModification ?? null,
    newestModification: overview.newestModification ?? null,
    largestFiles: overview.largestFiles.map(describeFile),
  }
  return JSON.stringify(document, null, 2)
}

/** As `schemas/manifest-file-list.schema.json` says, in pieces: it may be longer than a string can be. */
export function* formatFileListAsJson(list: ManifestFileList): Generator<string, void, undefined> {
  const frame = { reportVersion: REPORT_VERSION, pbmanifestVersion: version, count: list.count }
  yield* formatWithList(frame, 'files', list, describeFile)
}

/** As `schemas/manifest-diff.schema.json` says, in pieces. */
export function* formatDiffAsJson(diff: ManifestDiff): Generator<string, void, undefined> {
  const { differences, ...rest } = diff
  const frame = {
    reportVersion: REPORT_VERSION,
    pbmanifestVersion: version,
    ...rest,
    old: describeManifest(diff.old),
    new: describeManifest(diff.new),
    isSameCluster: diff.isSameCluster ?? null,
  }
  yield* formatWithList(frame, 'differences', differences, describeDifference)
}

function describeManifest(manifest: DiffedManifest): object {
  return {
    ...manifest,
    systemIdentifier: manifest.systemIdentifier?.toString() ?? null,
    walRanges: manifest.walRanges.map(describeRange),
  }
}

function describeRange({ timeline, startLsn, endLsn }: WalRange): object {
  return { timeline, startLsn: formatLsn(startLsn), endLsn: formatLsn(endLsn) }
}

function describeFile({ pathname, size, lastModified, checksum }: InventoryFile): object {
  return {
    ...describePathname(pathname),
    size,
    lastModified: lastModified ?? null,
    checksum: checksum ?? null,
  }
}

function describeDifference({ kind, pathname, ...values }: FileDifference): object {
  return {
    kind,
    ...describePathname(pathname),
    oldSize: values.oldSize ?? null,
    newSize: values.newSize ?? null,
    oldChecksum: values.oldChecksum ?? null,
    newChecksum: values.newChecksum ?? null,
  }
}

/** What is not UTF-8 has no place in JSON: then it is bytes, in hexadecimal. */
function describePathname(pathname: Pathname): object {
  return isUtf8Pathname(pathname)
    ? { path: pathname }
    : { encodedPath: encodePathname(pathname).toString('hex') }
}

/** So many characters are one piece, at least. */
const PIECE = 64 * 1024

/** An object with a list as its last member, an item a line. */
function* formatWithList<Item>(
  frame: object,
  name: string,
  items: Iterable<Item>,
  describe: (item: Item) => object,
): Generator<string, void, undefined> {
  const head = JSON.stringify({ ...frame, [name]: [] }, null, 2)
  const end = ']\n}'
  let piece = head.slice(0, -end.length)
  let isEmpty = true
  for (const item of items) {
    piece += `${isEmpty ? '' : ','}\n    ${JSON.stringify(describe(item))}`
    isEmpty = false
    if (piece.length < PIECE) continue
    yield piece
    piece = ''
  }
  yield `${piece}${isEmpty ? '' : '\n  '}${end}`
}
