import { setTimeout } from 'node:timers/promises'
import { PbManifestError } from '../../errors.js'
import { throwIfAborted } from '../../files/yielder.js'
import { displayPathname } from '../../files/pathname.js'
import type {
  BackupMode,
  ClusterFile,
  ListTablespacesOptions,
  ServerDirectory,
  Tablespace,
  WalFile,
} from '../cluster-files/cluster-files.js'
import type { IncrementalPlan } from '../../postgres/wal-summary/incremental-plan.js'
import type { SessionOptions } from './backup-session.js'
import { planListedFiles } from './incremental/incremental-files.js'
import { parseWalSegmentName, segmentHoldingEnd, segmentHoldingStart } from '../../postgres/wal-segment.js'

/** So long, in milliseconds, the catalog may still have what is being dropped: its files go first. */
const PATIENCE_MS = 3000
const PAUSE_MS = 100

type Sources = Pick<SessionOptions, 'files' | 'mode' | 'onNotice'>

/**
 * Lists tablespaces. All that the server knows have to be there, each with the directory that the cluster has in it: a volume
 * that is not mounted where the files are read would else make a backup without its files, of which nobody would know.
 *
 * @throws {@link PbManifestError} `SERVER` when one cannot be seen
 */
export async function listVisibleTablespaces(
  { files, mode }: Sources,
  options: ListTablespacesOptions & {
    readonly signal: AbortSignal
    readonly plan: IncrementalPlan | undefined
  },
): Promise<readonly Tablespace[]> {
  const known = (await mode?.directories()) ?? []
  const { plan, withSizes, signal } = options
  const listed = await files.listTablespaces({ signal, withSizes: withSizes && plan === undefined })
  for (const { tablespace: oid, database } of known) {
    if (oid === undefined || database !== undefined) continue
    const location = listed.find((tablespace) => tablespace.oid === oid)?.location
    const isThere = location !== undefined && (await files.hasTablespaceDirectory(oid))
    if (!isThere) await requireDropped(mode, { tablespace: oid, database }, location, options.signal)
  }
  if (!withSizes || plan === undefined) return listed
  const sized: Tablespace[] = []
  for (const tablespace of listed) {
    const planned = planListedFiles(await files.listFiles(tablespace.oid, { signal }), plan)
    sized.push({ ...tablespace, bytes: planned.reduce((sum, { size }) => sum + size, 0) })
  }
  return sized
}

/**
 * Lists files. The directory of every database that the server knows has to be among them.
 *
 * @throws {@link PbManifestError} `SERVER` when one cannot be seen
 */
export async function listVisibleFiles(
  { files, mode, onNotice }: Sources,
  tablespaceOid: number | undefined,
  signal: AbortSignal,
): Promise<readonly ClusterFile[]> {
  const known = (await mode?.directories()) ?? []
  const listed = await files.listFiles(tablespaceOid, {
    signal,
    // In the words of a server. @see src/backend/backup/basebackup.c (`sendDir`)
    onSpecialFile: (pathname) => {
      const message = `skipping special file "./${displayPathname(pathname)}"`
      onNotice?.({ severity: 'WARNING', message })
    },
  })
  const directories = listed.flatMap(({ pathname, kind }) => (kind === 'directory' ? [pathname] : []))
  for (const directory of known) {
    if (directory.tablespace !== tablespaceOid) continue
    const isSeen = (pathname: string): boolean => isOf(directory, pathname)
    if (!directories.some(isSeen)) await requireDropped(mode, directory, undefined, signal)
  }
  return listed
}

function isOf({ tablespace, database }: ServerDirectory, pathname: string): boolean {
  if (tablespace === undefined) return pathname === `base/${database}`
  const [, oid, version, name, ...deeper] = pathname.split('/')
  return (
    oid === String(tablespace) &&
    version !== undefined &&
    name === database?.toString() &&
    deeper.length === 0
  )
}

/** Waits until the server no longer knows what cannot be seen. */
async function requireDropped(
  mode: BackupMode | undefined,
  missing: ServerDirectory,
  location: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (let waited = 0; waited < PATIENCE_MS; waited += PAUSE_MS) {
    const known = (await mode?.directories()) ?? []
    const isKnown = known.some(
      ({ tablespace, database }) => tablespace === missing.tablespace && database === missing.database,
    )
    if (!isKnown) return
    await setTimeout(PAUSE_MS)
    throwIfAborted(signal)
  }
  throw notVisible(missing, location)
}

function notVisible(
  { tablespace, database }: ServerDirectory,
  location: string | undefined,
): PbManifestError {
  const where = location === undefined ? '' : ` ("${displayPathname(location)}")`
  const what =
    database === undefined ? `tablespace ${tablespace}${where}` : `the directory of database ${database}`
  return new PbManifestError('SERVER', `the server has ${what}, but its files are not there`, {
    details: tablespace === undefined ? [] : [`They are looked for below "pg_tblspc/${tablespace}".`],
    hint:
      tablespace === undefined
        ? 'Mount its volume where the files are read.'
        : 'Mount its volume where the files are read, at the place to which the link leads.',
  })
}

/** A stretch of WAL; open where nothing is given. */
export interface WalBounds {
  readonly startLsn: bigint | undefined
  readonly endLsn: bigint | undefined
}

/**
 * The segments that hold this stretch, of whatever timeline, and all timeline history files: what a server adds to a
 * backup.
 *
 * @see src/backend/backup/basebackup.c (`perform_base_backup`)
 */
export function selectWalFiles(
  files: readonly WalFile[],
  { startLsn, endLsn }: WalBounds,
  segmentSize: number,
): WalFile[] {
  const first = startLsn === undefined ? 0n : segmentHoldingStart(startLsn, segmentSize)
  const last = endLsn === undefined ? undefined : segmentHoldingEnd(endLsn, segmentSize)
  return files.filter(({ name }) => {
    if (/^[0-9A-F]{8}\.history$/.test(name)) return true
    const segment = parseWalSegmentName(name, segmentSize)
    if (segment === undefined) return false
    return segment.segmentNumber >= first && (last === undefined || segment.segmentNumber <= last)
  })
}
