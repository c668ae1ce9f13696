import { randomBytes } from 'node:crypto'
import { lstatSync, readlinkSync, type Stats, statSync } from 'node:fs'
import { lchown, mkdir, rename, symlink, unlink } from 'node:fs/promises'
import { dirname, isAbsolute, sep } from 'node:path'
import { PbManifestError } from '../errors.js'
import { syncDirectory } from '../files/durable-file.js'
import { displayPathname } from '../files/pathname.js'
import { ioError, isNotThere } from '../files/system-error.js'
import type { StatedLink } from './options.js'
import { realpathOf } from './repaired-directory.js'
import type { RepairItem } from './report.js'

/** What leads the links of a backup. */
interface LinkContext {
  readonly directory: string
  readonly copy: string
  readonly writes: boolean
}

/**
 * Has the links of the backup lead where the caller says: makes those that are missing, and replaces those that lead elsewhere.
 *
 * @returns those that were not so, or are not
 * @throws {@link PbManifestError} `USAGE` or `IO`
 */
export async function leadLinks(links: readonly StatedLink[], context: LinkContext): Promise<RepairItem[]> {
  requireSeparate(links, context)
  const items: RepairItem[] = []
  for (const link of links) {
    if (!(await leadLink(link, context))) continue
    items.push({ what: 'link', path: link.pathname, outcome: context.writes ? 'repaired' : 'repairable' })
  }
  return items
}

function requireSeparate(links: readonly StatedLink[], { directory, copy }: LinkContext): void {
  const taken = new Map<string, string>()
  for (const { pathname, directory: place } of links) {
    const shown = displayPathname(place)
    const refuse = (why: string): PbManifestError =>
      new PbManifestError('USAGE', `"${pathname}" cannot lead to "${shown}": ${why}`)
    if (!isAbsolute(place)) throw refuse('it is not an absolute path')
    const real = realpathOf(place) ?? place
    if (`${real}${sep}`.startsWith(`${realpathOf(directory) ?? directory}${sep}`))
      throw refuse('it is in the backup')
    const copyPlace = realpathOf(`${copy}/${pathname}`)
    if (copyPlace !== undefined && copyPlace === realpathOf(place))
      throw refuse('that is where the copy has it')
    const other = taken.get(real)
    if (other !== undefined) throw refuse(`"${other}" leads there`)
    taken.set(real, pathname)
  }
}

/** @returns whether there was, or is, something to be done */
async function leadLink(
  { pathname, directory: place }: StatedLink,
  { directory, writes }: LinkContext,
): Promise<boolean> {
  const path = `${directory}/${pathname}`
  try {
    const stats = look(path)
    if (stats !== undefined && !stats.isSymbolicLink()) {
      throw new PbManifestError('USAGE', `"${pathname}" is in the backup itself, and no symbolic link`)
    }
    const isRight = stats !== undefined && (readlinkSync(path) === place || isSame(path, place))
    const isThere = statSync(place, { throwIfNoEntry: false }) !== undefined
    if (isRight && isThere) return false
    if (!writes) return true
    const owner = process.getuid?.() === 0 ? statSync(directory) : undefined
    if (!isThere) {
      await mkdir(place, { recursive: true, mode: 0o700 })
      if (owner !== undefined) await lchown(place, owner.uid, owner.gid)
      await syncDirectory(dirname(place))
    }
    if (!isRight) await makeLink(place, path, owner)
    return true
  } catch (error) {
    throw ioError(`could not create symbolic link "${displayPathname(path)}"`, error)
  }
}

async function makeLink(place: string, path: string, owner: Stats | undefined): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.pbmanifest-repair`
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await symlink(place, temporary)
  try {
    if (owner !== undefined) await lchown(temporary, owner.uid, owner.gid)
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary)
    throw error
  }
  await syncDirectory(dirname(path))
}

function look(path: string): Stats | undefined {
  try {
    return lstatSync(path)
  } catch (error) {
    if (isNotThere(error)) return undefined
    throw error
  }
}

function isSame(path: string, place: string): boolean {
  const real = realpathOf(path)
  return real !== undefined && real === realpathOf(place)
}
