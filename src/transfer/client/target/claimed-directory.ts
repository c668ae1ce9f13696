import { chmod, lstat, mkdir, readdir, realpath, rm, rmdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { PbManifestError } from '../../../errors.js'
import { describeSystemError, ioError } from '../../../files/system-error.js'
import { readUnfinishedMark } from './unfinished-mark.js'

/**
 * A directory that belongs to this run: it was made, or found empty.
 *
 * What is needed to undo that is kept here and nowhere on disk.
 */
export interface ClaimedDirectory {
  readonly path: string
  readonly wasCreated: boolean
  /** Parents that had to be made, outermost first. */
  readonly createdParents: readonly string[]
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
export async function requireEmptyOrMissing(path: string, hint: string | undefined): Promise<void> {
  const names = await listNames(path)
  if (names === undefined || names.length === 0) return
  const mark = readUnfinishedMark(path)
  if (mark === undefined) {
    throw new PbManifestError(
      'IO',
      `directory "${path}" exists but is not empty`,
      hint === undefined ? {} : { hint },
    )
  }
  const id = mark.backupId === undefined ? 'that had not begun' : `(id ${mark.backupId})`
  throw new PbManifestError('IO', `directory "${path}" holds an unfinished backup of pbmanifest ${id}`, {
    details: [
      `It was written by ${mark.writer}.`,
      ...mark.directories.map((directory) => `It has files in "${directory}".`),
    ],
    hint: 'If that process is gone, remove what is in these directories and start again.',
  })
}

/** Makes the directory, and its parents as needed, or takes it when it is empty. */
export async function claimDirectory(path: string, mode: number): Promise<ClaimedDirectory> {
  await requireEmptyOrMissing(path, undefined)
  const created: string[] = []
  try {
    for (const parent of await missingParents(path)) {
      if (await makeDirectory(parent, mode)) created.push(parent)
    }
    const createdParents = [...created]
    const wasCreated = await makeDirectory(path, mode)
    if (wasCreated) created.push(path)
    // Of a link, what it leads to: nobody may turn it elsewhere before it is emptied.
    const real = await realpath(path)
    const { dev, ino } = await stat(real)
    return { path: real, wasCreated, createdParents, device: dev, inode: ino }
  } catch (error) {
    await removeEmpty(created)
    throw ioError(`could not create directory "${path}"`, error)
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
  const attempt = async (what: string, action: () => Promise<unknown>): Promise<void> => {
    await action().catch((error: unknown) => {
      const { code, message } = describeSystemError(error) ?? { code: '', message: String(error) }
      if (code !== 'ENOENT') failures.push(`could not remove "${what}": ${message}`)
    })
  }
  if (!(await isStill(claimed))) return [`"${path}" is not the directory that it was, and is left alone`]
  for (const name of (await readdir(path, { encoding: 'buffer' }).catch(() => [])) as readonly Buffer[]) {
    const entry = Buffer.concat([Buffer.from(`${path}/`), name])
    await attempt(entry.toString(), () => rm(entry, { recursive: true, force: true, maxRetries: 5 }))
  }
  if (wasCreated) await attempt(path, () => rmdir(path))
  if (wasCreated) await removeEmpty(createdParents)
  return failures
}

async function isStill({ path, device, inode }: ClaimedDirectory): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined)
  return stats !== undefined && stats.isDirectory() && stats.dev === device && stats.ino === inode
}

/** `undefined`: there is no such directory. */
async function listNames(path: string): Promise<readonly string[] | undefined> {
  try {
    return await readdir(path)
  } catch (error) {
    if (describeSystemError(error)?.code === 'ENOENT') return refuseBrokenLink(path)
    throw ioError(`could not access directory "${path}"`, error)
  }
}

async function refuseBrokenLink(path: string): Promise<undefined> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats !== undefined)
    throw new PbManifestError('IO', `could not access directory "${path}": it is a broken link`)
}

/** Innermost first, and only while nobody else uses them. */
async function removeEmpty(paths: readonly string[]): Promise<void> {
  for (const path of paths.toReversed()) await rmdir(path).catch(() => undefined)
}

/** Outermost first. */
async function missingParents(path: string): Promise<readonly string[]> {
  const missing: string[] = []
  for (let parent = dirname(path); parent !== dirname(parent); parent = dirname(parent)) {
    if ((await stat(parent).catch(() => undefined)) !== undefined) break
    missing.unshift(parent)
  }
  return missing
}

/** Returns false when it is there. The mode is set against the umask, as PostgreSQL does. */
async function makeDirectory(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode })
    await chmod(path, mode)
    return true
  } catch (error) {
    if (describeSystemError(error)?.code === 'EEXIST') return false
    throw ioError(`could not create directory "${path}"`, error)
  }
}
