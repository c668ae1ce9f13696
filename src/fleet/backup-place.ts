import { realpath } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { PbManifestError } from '../errors.js'
import { describeSystemError } from '../files/system-error.js'

/** A directory below which backups are: of a name that all machines know, wherever it is, or of the same path on all of them. */
export interface FleetRoot {
  /** Letters, digits, `.`, `_` and `-`. Without one, its backups are known by their paths. */
  readonly name?: string
  readonly directory: string
}

/** Where a backup is, in words that every machine understands. */
export interface BackupPlace {
  /** The name of a root; empty: `path` is absolute. */
  readonly root: string
  /** Below the root. */
  readonly path: string
}

/** A worker cannot see a backup that another one may see. */
export class UnseenBackupError extends PbManifestError {
  constructor(message: string, cause?: unknown) {
    super('IO', message, { cause })
  }
}

/** Whether a name of a root is one. */
export function isRootName(name: string): boolean {
  return /^[\w.-]{1,60}$/.test(name)
}

/**
 * The place of a backup that somebody names: `ROOT:PATH`, or a directory, which is below the innermost of the roots that it is
 * below, or, being below none that has a name, is known by its path.
 *
 * @throws {@link PbManifestError} `USAGE`
 */
export function placeOf(backup: string, roots: readonly FleetRoot[]): BackupPlace {
  const [, root, path = ''] = /^([\w.-]{1,60}):(.*)$/su.exec(backup) ?? []
  if (root !== undefined) {
    const reason = faultOfPath(path, false)
    if (reason !== undefined) throw new PbManifestError('USAGE', `invalid backup "${backup}": ${reason}`)
    return { root, path }
  }
  const directory = resolve(backup)
  if (backup === '' || directory.includes('\0')) {
    throw new PbManifestError('USAGE', `invalid backup ${JSON.stringify(backup)}: that is no path`)
  }
  const around = roots
    .flatMap(({ name, directory: from }) => (name === undefined ? [] : [{ name, from: resolve(from) }]))
    .filter(({ from }) => isBelow(from, directory))
    .toSorted((left, right) => right.from.length - left.from.length)
  const [inner] = around
  if (inner === undefined) return { root: '', path: directory }
  return { root: inner.name, path: relative(inner.from, directory) || '.' }
}

/**
 * The directory of a backup on this machine. What the queue says is not trusted: it has to be below a root, by its name and by
 * where it really is.
 *
 * @throws {@link UnseenBackupError} when it is not, or there is nothing
 */
export async function findPlace({ root, path }: BackupPlace, roots: readonly FleetRoot[]): Promise<string> {
  const shown = JSON.stringify(root === '' ? path : `${root}:${path}`)
  const reason = faultOfPath(path, root === '')
  if (reason !== undefined) throw new UnseenBackupError(`refused to verify ${shown}: ${reason}`)
  const candidates = roots.filter(({ name = '' }) => name === root)
  const wanted = candidates.flatMap(({ directory }) => {
    const from = resolve(directory)
    const target = root === '' ? resolve(path) : join(from, path)
    return isBelow(from, target) ? [{ from, target: removeLastSlash(target) }] : []
  })
  if (wanted.length === 0) {
    const what = root === '' ? 'it is below no root of this worker' : `this worker has no root "${root}"`
    throw new UnseenBackupError(`refused to verify ${shown}: ${what}`)
  }
  let failure: UnseenBackupError | undefined
  for (const { from, target } of wanted) {
    try {
      const [realFrom, realTarget] = await Promise.all([realpath(from), realpath(target)])
      if (isBelow(realFrom, realTarget)) return target
      failure = new UnseenBackupError(
        `refused to verify ${shown}: it is a link to "${realTarget}", outside of "${from}"`,
      )
    } catch (error) {
      const why = describeSystemError(error)?.message
      if (why === undefined) throw error
      failure ??= new UnseenBackupError(`could not open backup "${target}": ${why}`, error)
    }
  }
  throw failure ?? new UnseenBackupError(`refused to verify ${shown}`)
}

/** What is wrong with a path however it is meant. */
function faultOfPath(path: string, isToBeAbsolute: boolean): string | undefined {
  if (path === '') return 'it is empty'
  if (path.includes('\0')) return 'it has a zero byte'
  if (isAbsolute(path) !== isToBeAbsolute) {
    return isToBeAbsolute ? 'it is not absolute' : 'it is absolute, and no path below a root'
  }
  if (path.split(sep).includes('..')) return 'it leads upwards'
  return undefined
}

function isBelow(directory: string, path: string): boolean {
  const way = relative(directory, path)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}

function removeLastSlash(path: string): string {
  return path.length > 1 && path.endsWith(sep) ? path.slice(0, -1) : path
}
