import { chmod, lstat, mkdir, readdir, realpath, rm, rmdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { PbManifestError } from '../errors.js'
import { decodePathname, displayPathname, type Pathname, pathOf, pathTo } from '../files/pathname.js'
import { describeSystemError, ioError, isNotThere } from '../files/system-error.js'
import { readUnfinishedMark } from './unfinished-mark.js'

/**
 * A directory that belongs to this run: it was made, or found empty.
 *
 * What is needed to undo that is kept here and nowhere on disk.
 */
export interface ClaimedDirectory {
  readonly path: Pathname
  readonly wasCreated: boolean
  /** Parents that had to be made, outermost first. */
  readonly createdParents: readonly Pathname[]
  /** Which directory it was, so that another that took its place is not removed. */
  readonly device: number
  readonly inode: number
}

/**
 * Looks whether a directory may be claimed, without touching it.
 *
 * @param hint - what to do when it holds something
 * @throws {@link PbManifestError} `IO`, in the words of pg_basebackup
 */
export async function requireEmptyOrMissing(path: Pathname, hint: string | undefined): Promise<void> {
  const names = await listNames(path)
  if (names === undefined || names.length === 0) return
  const mark = readUnfinishedMark(path)
  if (mark === undefined) {
    throw new PbManifestError(
      'IO',
      `directory "${displayPathname(path)}" exists but is not empty`,
      hint === undefined ? {} : { hint },
    )
  }
  const id = mark.backupId === undefined ? 'that had not begun' : `(id ${mark.backupId})`
  throw new PbManifestError(
    'IO',
    `directory "${displayPathname(path)}" holds an unfinished backup of pbmanifest ${id}`,
    {
      details: [
        `It was written by ${mark.writer}.`,
        ...mark.directories.map((directory) => `It has files in "${displayPathname(directory)}".`),
      ],
      hint: 'If that process is gone, remove what is in these directories and start again.',
    },
  )
}

/** Makes the directory, and its parents as needed, or takes it when it is empty. */
export async function claimDirectory(path: Pathname, mode: number): Promise<ClaimedDirectory> {
  await requireEmptyOrMissing(path, undefined)
  const created: Pathname[] = []
  try {
    for (const parent of await missingParents(path)) {
      if (await makeDirectory(parent, mode)) created.push(parent)
    }
    const createdParents = [...created]
    const wasCreated = await makeDirectory(path, mode)
    if (wasCreated) created.push(path)
    // Of a link, what it leads to: nobody may turn it elsewhere before it is emptied.
    const real = await realpath(pathTo(path), { encoding: 'buffer' })
    const { dev, ino } = await stat(real)
    return { path: decodePathname(real), wasCreated, createdParents, device: dev, inode: ino }
  } catch (error) {
    await removeEmpty(created)
    throw ioError(`could not create directory "${displayPathname(path)}"`, error)
  }
}

/**
 * Takes a claim back: what was made is removed, what was found empty is empty again. Links are removed, never followed.
 * Goes on over whatever fails.
 *
 * @returns what could not be removed, and why
 */
export async function releaseDirectory(claimed: ClaimedDirectory): Promise<readonly string[]> {
  const { path, wasCreated, createdParents } = claimed
  const failures: string[] = []
  const attempt = async (what: Pathname, action: () => Promise<unknown>): Promise<void> => {
    await action().catch((error: unknown) => {
      const { code, message } = describeSystemError(error) ?? { code: '', message: String(error) }
      if (code !== 'ENOENT') failures.push(`could not remove "${displayPathname(what)}": ${message}`)
    })
  }
  if (!(await isStill(claimed))) {
    return [`"${displayPathname(path)}" is not the directory that it was, and is left alone`]
  }
  const names = await readdir(pathTo(path), { encoding: 'buffer' }).catch((): Buffer[] => [])
  for (const name of names.map(decodePathname)) {
    const entry = pathOf(path, name)
    await attempt(`${path}/${name}`, () => rm(entry, { recursive: true, force: true, maxRetries: 5 }))
  }
  if (wasCreated) await attempt(path, () => rmdir(pathTo(path)))
  if (wasCreated) await removeEmpty(createdParents)
  return failures
}

async function isStill({ path, device, inode }: ClaimedDirectory): Promise<boolean> {
  const stats = await lstat(pathTo(path)).catch(() => undefined)
  return stats !== undefined && stats.isDirectory() && stats.dev === device && stats.ino === inode
}

/** `undefined`: there is no such directory. */
async function listNames(path: Pathname): Promise<readonly string[] | undefined> {
  try {
    return await readdir(pathTo(path))
  } catch (error) {
    if (isNotThere(error)) return refuseBrokenLink(path)
    throw ioError(`could not access directory "${displayPathname(path)}"`, error)
  }
}

async function refuseBrokenLink(path: Pathname): Promise<undefined> {
  const stats = await lstat(pathTo(path)).catch(() => undefined)
  if (stats !== undefined)
    throw new PbManifestError(
      'IO',
      `could not access directory "${displayPathname(path)}": it is a broken link`,
    )
}

/** Innermost first, and only while nobody else uses them. */
async function removeEmpty(paths: readonly Pathname[]): Promise<void> {
  for (const path of paths.toReversed()) await rmdir(pathTo(path)).catch(() => undefined)
}

/** Outermost first. */
async function missingParents(path: Pathname): Promise<readonly Pathname[]> {
  const missing: Pathname[] = []
  for (let parent = dirname(path); parent !== dirname(parent); parent = dirname(parent)) {
    if ((await stat(pathTo(parent)).catch(() => undefined)) !== undefined) break
    missing.unshift(parent)
  }
  return missing
}

/** Returns false when it is there. The mode is set against the umask, as PostgreSQL does. */
async function makeDirectory(path: Pathname, mode: number): Promise<boolean> {
  try {
    await mkdir(pathTo(path), { mode })
    await chmod(pathTo(path), mode)
    return true
  } catch (error) {
    if (describeSystemError(error)?.code === 'EEXIST') return false
    throw ioError(`could not create directory "${displayPathname(path)}"`, error)
  }
}
