import { constants, lstatSync, realpathSync, type Stats, statfsSync, statSync } from 'node:fs'
import { chmod, chown, copyFile, lchown, mkdir, symlink, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { PbManifestError } from '../errors.js'
import { displayPathname, type Pathname, pathOf } from '../files/pathname.js'
import { readNames } from '../files/read-directory.js'
import { ioError } from '../files/system-error.js'
import { throwIfAborted, Yielder } from '../files/yielder.js'
import { isNameOfPostgres, TABLESPACE_MAP } from '../postgres/data-directory.js'
import type { ServerUser } from './find-server.js'
import type { DrillReport } from './report.js'
import type { ScratchPlace } from './scratch-place.js'

/** Files that are copied beside each other. */
const LANES = 8

/** A server needs some room besides its data: WAL, and files for sorting. */
const ROOM_BYTES = 256 * 1024 * 1024

/**
 * What the copy does not get: settings and signals of the original server, what says that a server runs, slots, which would hold
 * WAL back, and the list of tablespaces, from which a server makes links to where they were.
 */
const leftOut: ReadonlySet<Pathname> = new Set([
  'postgresql.conf',
  'postgresql.auto.conf',
  'pg_hba.conf',
  'pg_ident.conf',
  'recovery.signal',
  'standby.signal',
  'promote',
  'logrotate',
  'current_logfiles',
  'postmaster.pid',
  'postmaster.opts',
  'backup_manifest',
  TABLESPACE_MAP,
])

/** Directories whose content the copy does not get. */
const leftEmpty: ReadonlySet<Pathname> = new Set(['pg_replslot', 'pg_stat_tmp', 'pg_dynshmem'])

/** What is to be copied, in an order in which it can be made. */
interface CopyList {
  readonly directories: Pathname[]
  readonly files: Pathname[]
  /** OIDs. */
  readonly tablespaces: string[]
  bytes: number
}

/** How the copy came out. */
export type CopyResult = NonNullable<DrillReport['copy']>

/**
 * Copies a backup, with its tablespaces, to where a server may do with it what it wants. The content is shared with the backup where
 * the file system can do that.
 *
 * @throws {@link PbManifestError} `IO`, also when there is not enough space; `ABORTED`
 */
export async function copyBackup(
  directory: string,
  place: ScratchPlace,
  user: ServerUser | undefined,
  signal: AbortSignal | undefined,
): Promise<CopyResult> {
  const started = performance.now()
  const list = await listBackup(directory, signal)
  const isCloned = await canClone(directory, list, place)
  if (!isCloned) requireSpace(place.path, list.bytes)
  for (const oid of list.tablespaces) await makeTablespace(oid, place, user)
  for (const pathname of list.directories) {
    await attempt(`could not create directory "${displayPathname(pathname)}" of the copy`, async () => {
      const path = pathOf(place.data, pathname)
      // pg_tblspc is there when there are tablespaces.
      await mkdir(path, { recursive: true, mode: 0o700 })
      if (user !== undefined) await chown(path, user.uid, user.gid)
    })
  }
  const files = list.files.values()
  const lane = async (): Promise<void> => {
    for (const pathname of files) {
      throwIfAborted(signal)
      await attempt(`could not copy file "${displayPathname(pathname)}"`, async () => {
        const path = pathOf(place.data, pathname)
        await copyFile(pathOf(directory, pathname), path, constants.COPYFILE_FICLONE)
        await chmod(path, 0o600)
        if (user !== undefined) await chown(path, user.uid, user.gid)
      })
    }
  }
  const lanes = await Promise.allSettled(Array.from({ length: LANES }, lane))
  const failed = lanes.find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  const seconds = (performance.now() - started) / 1000
  return { files: list.files.length, bytes: list.bytes, isCloned, seconds }
}

async function listBackup(directory: string, signal: AbortSignal | undefined): Promise<CopyList> {
  const list: CopyList = { directories: [], files: [], tablespaces: [], bytes: 0 }
  const yielder = new Yielder(signal)
  const walk = async (parent: Pathname, above: ReadonlySet<string>): Promise<void> => {
    for (const name of namesIn(directory, parent)) {
      const pathname = parent === '' ? name : `${parent}/${name}`
      if (leftOut.has(pathname) || isForeignLink(directory, pathname)) continue
      const stats = look(directory, pathname)
      if (stats?.isFile() === true) {
        list.files.push(pathname)
        list.bytes += stats.size
      } else if (stats?.isDirectory() === true) {
        const real = identityOf(directory, pathname)
        if (above.has(real)) continue
        if (parent === 'pg_tblspc' && isLink(directory, pathname)) list.tablespaces.push(name)
        else list.directories.push(pathname)
        if (!leftEmpty.has(pathname)) await walk(pathname, new Set([...above, real]))
      }
      if (yielder.isDue) await yielder.yield()
    }
  }
  await walk('', new Set([identityOf(directory, '')]))
  return list
}

function namesIn(directory: string, pathname: Pathname): Pathname[] {
  try {
    return readNames(pathname === '' ? directory : pathOf(directory, pathname))
  } catch (error) {
    throw ioError(
      `could not open directory "${displayPathname(pathname === '' ? directory : pathname)}"`,
      error,
    )
  }
}

/** A link at the top that PostgreSQL did not make: to logs, certificates, whatever. */
function isForeignLink(directory: string, pathname: Pathname): boolean {
  return !pathname.includes('/') && !isNameOfPostgres(pathname) && isLink(directory, pathname)
}

function isLink(directory: string, pathname: Pathname): boolean {
  return lstatSync(pathOf(directory, pathname), { throwIfNoEntry: false })?.isSymbolicLink() === true
}

/** `undefined` for a link that leads nowhere: the server will say what it lacks. */
function look(directory: string, pathname: Pathname): Stats | undefined {
  try {
    return statSync(pathOf(directory, pathname), { throwIfNoEntry: false })
  } catch (error) {
    throw ioError(`could not stat file or directory "${displayPathname(pathname)}"`, error)
  }
}

function identityOf(directory: string, pathname: Pathname): string {
  try {
    return realpathSync(pathname === '' ? directory : pathOf(directory, pathname), 'latin1')
  } catch (error) {
    throw ioError(`could not open directory "${displayPathname(pathname)}"`, error)
  }
}

/** Whether a copy takes no space: tried with one file. */
async function canClone(directory: string, { files }: CopyList, { path }: ScratchPlace): Promise<boolean> {
  const [first] = files
  if (first === undefined) return false
  const trial = join(path, 'clone')
  try {
    await copyFile(pathOf(directory, first), trial, constants.COPYFILE_FICLONE_FORCE)
    return true
  } catch {
    return false
  } finally {
    await unlink(trial).catch(() => {})
  }
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 / 1024)} MB`
}

function requireSpace(path: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(path)
  const available = bavail * bsize
  if (bytes + ROOM_BYTES <= available) return
  throw new PbManifestError(
    'IO',
    `not enough space for the copy in "${displayPathname(path)}": ${megabytes(bytes + ROOM_BYTES)} are needed, ${megabytes(available)} available`,
    {
      hint: 'Use --scratch=DIRECTORY for another place; on the file system of the backup it may need no space at all.',
    },
  )
}

async function makeTablespace(oid: string, place: ScratchPlace, user: ServerUser | undefined): Promise<void> {
  const path = join(place.tablespaces, oid)
  const link = join(place.data, 'pg_tblspc', oid)
  await attempt(`could not create directory "${displayPathname(path)}"`, async () => {
    await mkdir(path, { mode: 0o700 })
    await mkdir(join(place.data, 'pg_tblspc'), { recursive: true, mode: 0o700 })
    await symlink(path, link)
    if (user === undefined) return
    for (const each of [path, join(place.data, 'pg_tblspc'), link]) await lchown(each, user.uid, user.gid)
  })
}

async function attempt(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw ioError(what, error)
  }
}
