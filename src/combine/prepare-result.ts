import { chmodSync, constants, copyFileSync, mkdirSync, realpathSync, statSync, unlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { PbManifestError } from '../errors.js'
import { displayPathname, type Pathname, pathOf, pathTo, decodePathname } from '../files/pathname.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import { mapTablespace, type TablespaceMapping } from '../target/tablespace-mapping.js'
import { TargetDirectory } from '../target/target-directory.js'
import type { ResultListing } from './list-result.js'
import type { CopyMethod } from './report.js'

/** How files and directories of the result are made. */
export interface ResultModes {
  readonly fileMode: number
  readonly directoryMode: number
}

/**
 * By the last backup's directory, as pg_combinebackup does.
 *
 * @throws {@link PbManifestError} `IO`
 * @see src/common/file_perm.c (`SetDataDirectoryCreatePerm`)
 */
export function modesOf(directory: string): ResultModes {
  try {
    const hasGroupAccess = (statSync(directory).mode & 0o750) === 0o750
    return hasGroupAccess
      ? { fileMode: 0o640, directoryMode: 0o750 }
      : { fileMode: 0o600, directoryMode: 0o700 }
  } catch (error) {
    throw ioError(`could not stat file "${displayPathname(directory)}"`, error)
  }
}

/**
 * Refuses what must not be written to: a tablespace that nobody has mapped would be written where the cluster has it, and a directory
 * in an input would become part of that.
 *
 * @throws {@link PbManifestError} `USAGE`
 */
export function requireSafePlaces(
  directories: readonly string[],
  output: string,
  { tablespaces }: ResultListing,
  mappings: readonly TablespaceMapping[],
): void {
  const targets: Pathname[] = [resolve(output)]
  const inputs = directories.map((directory) => realOf(resolve(directory)))
  for (const { oid, location } of tablespaces) {
    if (location === undefined) continue
    const mapping = mappings.find(({ from }) => from === mapTablespace(location, []))
    if (mapping === undefined) {
      throw new PbManifestError(
        'USAGE',
        `tablespace at "${displayPathname(location)}" has no tablespace mapping`,
        {
          hint: 'Say where it goes with -T, --tablespace-mapping=OLDDIR=NEWDIR.',
        },
      )
    }
    targets.push(mapping.to)
    for (const directory of directories) inputs.push(realOf(`${resolve(directory)}/pg_tblspc/${oid}`))
  }
  for (const target of targets) {
    const real = realOf(target)
    const input = inputs.find((candidate) => `${real}/`.startsWith(`${candidate}/`))
    if (input === undefined) continue
    throw new PbManifestError(
      'USAGE',
      `output directory "${displayPathname(target)}" is inside "${displayPathname(input)}", which is part of a backup`,
    )
  }
}

/** With links resolved, as far as it is there. */
function realOf(path: Pathname): Pathname {
  try {
    return decodePathname(realpathSync(pathTo(path), 'buffer'))
  } catch {
    const slash = path.lastIndexOf('/')
    return slash <= 0 ? path : `${realOf(path.slice(0, slash))}${path.slice(slash)}`
  }
}

/**
 * Makes the directories of the result.
 *
 * @throws {@link PbManifestError} `USAGE` or `IO`; then nothing is left
 */
export async function prepareResult(
  output: string,
  listing: ResultListing,
  mappings: readonly TablespaceMapping[],
  { directoryMode }: ResultModes,
): Promise<TargetDirectory> {
  const target = await TargetDirectory.prepare({
    directory: output,
    tablespaces: listing.tablespaces.flatMap(({ oid, location }) =>
      location === undefined ? [] : [{ oid, location }],
    ),
    mappings,
    walDirectory: undefined,
    hasGroupAccess: directoryMode === 0o750,
  })
  try {
    for (const pathname of listing.directories) makeDirectory(target.path, pathname, directoryMode)
    return target
  } catch (error) {
    await target.remove()
    throw error
  }
}

function makeDirectory(root: Pathname, pathname: Pathname, mode: number): void {
  const path = pathOf(root, pathname)
  try {
    mkdirSync(path, { mode })
    chmodSync(path, mode)
  } catch (error) {
    // It is there with the links of the tablespaces.
    if (pathname === 'pg_tblspc' && describeSystemError(error)?.code === 'EEXIST') return
    throw ioError(`could not create directory "${displayPathname(`${root}/${pathname}`)}"`, error)
  }
}

/** The method to use: whether the file system can clone is tried with one file. */
export function chooseMethod(
  method: CopyMethod,
  sample: string | Buffer,
  target: string,
): Exclude<CopyMethod, 'auto'> {
  if (method !== 'auto') return method
  const trial = join(target, 'clone')
  try {
    copyFileSync(sample, trial, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE)
    return 'clone'
  } catch {
    return 'copy'
  } finally {
    try {
      unlinkSync(trial)
    } catch {
      // It was not made.
    }
  }
}
