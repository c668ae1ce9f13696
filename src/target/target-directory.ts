import { mkdir, symlink, unlink, writeFile, readdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { PbManifestError } from '../errors.js'
import { syncDirectory, syncFileSystem, type SyncMethod } from '../files/durable-file.js'
import {
  displayPathname,
  isUtf8Pathname,
  type Pathname,
  pathOf,
  pathTo,
  decodePathname,
  encodePathname,
} from '../files/pathname.js'
import { ownPathname, type SafePathname } from '../files/safe-pathname.js'
import { ioError } from '../files/system-error.js'
import { parsePositiveUnsignedInt32 } from '../postgres/unsigned-int.js'
import { UNFINISHED_MARK } from '../manifest/contents/made-by-backup.js'
import {
  claimDirectory,
  type ClaimedDirectory,
  releaseDirectory,
  requireEmptyOrMissing,
} from './claimed-directory.js'
import { mapTablespace, type TablespaceMapping } from './tablespace-mapping.js'
import { formatUnfinishedMark } from './unfinished-mark.js'
import type { Dirent } from 'node:fs'

/** A tablespace of the cluster. */
export interface ClusterTablespace {
  /** `undefined`: the data directory itself. */
  readonly oid: number | undefined
  /** An absolute path; of an in-place tablespace, its directory in pg_tblspc. */
  readonly location: Pathname
}

export interface TargetOptions {
  /** Where the data directory goes. */
  readonly directory: string
  /** All of the cluster: the data directory and in-place ones are passed over. */
  readonly tablespaces: readonly ClusterTablespace[]
  /** `-T` */
  readonly mappings: readonly TablespaceMapping[]
  /** `--waldir` */
  readonly walDirectory: string | undefined
  readonly hasGroupAccess: boolean
}

/** A tablespace that is backed up into a place of its own. */
export interface TargetTablespace {
  readonly oid: number
  /** Where its backup goes: a directory, or an archive. */
  readonly location: Pathname
}

/** One with a directory. */
interface LinkedTablespace extends TargetTablespace {
  /** Its link in the data directory. */
  readonly link: SafePathname
}

/**
 * Where a backup goes: the target directory, the directories of the tablespaces, and one for WAL.
 *
 * Until `complete`, each holds a mark by which a later run recognises what a killed one left.
 */
export class TargetDirectory {
  /** With links resolved. */
  readonly path: string
  readonly tablespaces: readonly LinkedTablespace[]
  readonly #claims: readonly ClaimedDirectory[]

  private constructor(
    path: string,
    tablespaces: readonly LinkedTablespace[],
    claims: readonly ClaimedDirectory[],
  ) {
    this.path = path
    this.tablespaces = tablespaces
    this.#claims = claims
  }

  /**
   * Looks at all directories first, then makes them, with the links to them. When it throws, nothing is left.
   *
   * @throws {@link PbManifestError} `USAGE`, `IO`, or `SERVER` for a tablespace that none can be
   */
  static async prepare(options: TargetOptions): Promise<TargetDirectory> {
    const directory = resolve(options.directory)
    const tablespaces = placeTablespaces(options)
    const wal = options.walDirectory === undefined ? [] : [options.walDirectory]
    const directories = [directory, ...wal, ...tablespaces.map(({ location }) => location)]
    refuseOverlaps(directories)
    for (const path of [directory, ...wal]) await requireEmptyOrMissing(path, undefined)
    for (const { location } of tablespaces) await requireEmptyOrMissing(location, mapHint)
    const mode = options.hasGroupAccess ? 0o750 : 0o700
    const claims: ClaimedDirectory[] = []
    try {
      for (const path of directories) {
        claims.push(await claimDirectory(path, mode))
        // By their real paths, links resolved.
        refuseOverlaps(claims.map((claim) => claim.path))
      }
      requireTextPath(claims[0]?.path ?? directory)
      const target = new TargetDirectory(claims[0]?.path ?? directory, tablespaces, claims)
      await target.mark(undefined)
      await linkTablespaces(target, mode)
      for (const path of wal) await linkWalDirectory(target, path)
      return target
    } catch (error) {
      await release(claims)
      throw error
    }
  }

  /** Says in every directory whose beginning it holds. */
  async mark(backupId: string | undefined): Promise<void> {
    const directories = this.#claims.map(({ path }) => path)
    for (const directory of directories) {
      const path = join(directory, UNFINISHED_MARK)
      try {
        await writeFile(pathTo(path), formatUnfinishedMark({ backupId, directories }), { mode: 0o600 })
      } catch (error) {
        throw ioError(`could not write file "${displayPathname(path)}"`, error)
      }
    }
  }

  /**
   * Takes the marks away; only backup_manifest is missing after that, whose presence means that the backup is complete.
   *
   * @param sync - whether and how to make every directory durable; the files are the business of who wrote them, but for
   * `syncfs`, which makes all durable
   */
  async complete({ sync }: { readonly sync: SyncMethod | undefined }): Promise<void> {
    for (const { path } of this.#claims) await remove(join(path, UNFINISHED_MARK))
    if (sync === undefined) return
    if (sync === 'syncfs') return await this.#syncFileSystems()
    for (const claim of this.#claims) {
      await syncDirectoryTree(claim.path)
      for (const path of [claim.path, ...claim.createdParents]) await syncDirectory(pathTo(dirname(path)))
    }
  }

  /** Directories elsewhere are reached by their links, whose names are text. */
  async #syncFileSystems(): Promise<void> {
    const links = ['pg_wal', ...this.tablespaces.map(({ link }) => link)]
    for (const path of [this.path, ...links.map((link) => `${this.path}/${link}`)]) await syncFileSystem(path)
    for (const { path } of this.#claims) await syncDirectory(pathTo(dirname(path)))
  }

  /**
   * Makes everything as it was before. Nobody may write into it any more.
   *
   * @returns what could not be removed, a line each
   */
  async remove(): Promise<readonly string[]> {
    return release(this.#claims)
  }
}

const mapHint = 'Give the tablespace another directory with --tablespace-mapping=OLDDIR=NEWDIR.'

function placeTablespaces({ tablespaces, mappings }: TargetOptions): readonly LinkedTablespace[] {
  return tablespaces.flatMap(({ oid, location }) => {
    if (oid === undefined) return []
    const link = tablespaceLink(oid)
    if (location === link) return []
    if (location.startsWith('/') && !location.includes('\0')) {
      return [{ oid, link, location: mapTablespace(location, mappings) }]
    }
    throw new PbManifestError(
      'SERVER',
      `tablespace ${oid} is said to be in "${displayPathname(location)}", which is not an absolute path`,
    )
  })
}

function tablespaceLink(oid: number): SafePathname {
  if (parsePositiveUnsignedInt32(String(oid)) !== undefined) return ownPathname(`pg_tblspc/${oid}`)
  throw new PbManifestError('SERVER', `there is no tablespace with OID ${oid}`)
}

/** Two that are the same, or one inside the other, would mix their files. */
function refuseOverlaps(paths: readonly Pathname[]): void {
  for (const [index, path] of paths.entries()) {
    const other = paths.find((candidate, at) => at !== index && `${path}/`.startsWith(`${candidate}/`))
    if (other === undefined) continue
    const what = other === path ? 'is used twice' : `is inside "${displayPathname(other)}"`
    throw new PbManifestError('USAGE', `target directory "${displayPathname(path)}" ${what}`, {
      hint: mapHint,
    })
  }
}

/** A link may lead to any name, but the files of the data directory are reached by text. */
function requireTextPath(path: Pathname): void {
  if (isUtf8Pathname(path)) return
  throw new PbManifestError('IO', `the name of target directory "${displayPathname(path)}" is not UTF-8`)
}

async function linkTablespaces(target: TargetDirectory, mode: number): Promise<void> {
  if (target.tablespaces.length === 0) return
  const directory = join(target.path, 'pg_tblspc')
  try {
    await mkdir(directory, { mode })
    for (const { link, location } of target.tablespaces) {
      await symlink(pathTo(location), pathOf(target.path, link))
    }
  } catch (error) {
    throw ioError(`could not create symbolic links in "${directory}"`, error)
  }
}

async function linkWalDirectory(target: TargetDirectory, location: string): Promise<void> {
  const path = `${target.path}/pg_wal`
  try {
    await symlink(location, path)
  } catch (error) {
    throw ioError(`could not create symbolic link "${path}"`, error)
  }
}

async function release(claims: readonly ClaimedDirectory[]): Promise<readonly string[]> {
  const failures: string[] = []
  for (const claim of claims.toReversed()) failures.push(...(await releaseDirectory(claim)))
  return failures
}

async function remove(path: Pathname): Promise<void> {
  try {
    await unlink(pathTo(path))
  } catch (error) {
    throw ioError(`could not remove file "${displayPathname(path)}"`, error)
  }
}

/** Makes the names in a directory, and in all below it, durable. Links are not followed. */
async function syncDirectoryTree(root: Pathname): Promise<void> {
  const waiting = [encodePathname(root)]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    try {
      for (const entry of await listEntries(path)) {
        if (entry.isDirectory()) waiting.push(Buffer.concat([path, Buffer.from('/'), entry.name]))
      }
      await syncDirectory(path)
    } catch (error) {
      throw ioError(`could not fsync directory "${displayPathname(decodePathname(path))}"`, error)
    }
  }
}

async function listEntries(path: Buffer): Promise<readonly Dirent<Buffer>[]> {
  return readdir(path, { withFileTypes: true, encoding: 'buffer' })
}
