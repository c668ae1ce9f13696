import { mkdirSync, chmodSync } from 'node:fs'
import { PbManifestError } from '../../errors.js'
import { displayPathname, pathOf } from '../../files/pathname.js'
import { describeSystemError, ioError } from '../../files/system-error.js'
import type { ClusterFacts, ClusterFile, Tablespace } from '../cluster-files/cluster-files.js'
import type { RunContext } from './run-context.js'
import { requireEmptyOrMissing } from '../../target/claimed-directory.js'
import { TargetDirectory } from '../../target/target-directory.js'

/** How files and directories of a backup are made. */
export interface TargetModes {
  readonly fileMode: number
  readonly directoryMode: number
}

export function targetModes({ hasGroupAccess }: ClusterFacts): TargetModes {
  return hasGroupAccess
    ? { fileMode: 0o640, directoryMode: 0o750 }
    : { fileMode: 0o600, directoryMode: 0o700 }
}

/** Directories of these names are PostgreSQL's own; the server's group may read what is in them, where it has access. */
const ownDirectory = /^(?:base|global|pg_[a-z]+)(?:\/|$)/

/**
 * How a file or directory of a backup is made: as it is on the server. Where that is not known, as SQL does not tell it,
 * what is not PostgreSQL's own is for its owner alone: a `server.key` that the group may read keeps a server from
 * starting. The owner can always write into a directory, for this run has to.
 */
export function modeOf({ pathname, kind, mode }: ClusterFile, modes: TargetModes): number {
  const { fileMode, directoryMode } = modes
  const isOwn = ownDirectory.test(pathname) || pathname === 'PG_VERSION'
  switch (kind) {
    case 'file':
      return mode ?? (isOwn ? fileMode : 0o600)
    case 'directory':
      return mode === undefined ? (isOwn ? directoryMode : 0o700) : mode | 0o700
    default:
      return kind satisfies never
  }
}

/** Fails early where the target cannot be used, before anything is asked of the server. */
export async function requireUsableTarget(directory: string): Promise<void> {
  await requireEmptyOrMissing(directory, undefined)
}

/** Makes the directories that the backup goes to, those of tablespaces among them. */
export async function claimTarget(
  { options, cleanUp }: RunContext,
  tablespaces: readonly Tablespace[],
  { hasGroupAccess }: ClusterFacts,
): Promise<TargetDirectory> {
  const { directory, tablespaceMappings = [], walDirectory, onNotice } = options
  const target = await TargetDirectory.prepare({
    directory,
    tablespaces,
    mappings: tablespaceMappings,
    walDirectory,
    hasGroupAccess,
  })
  cleanUp.addRemoval(async () => {
    for (const message of await target.remove()) onNotice?.({ severity: 'WARNING', message })
  })
  return target
}

/** A tablespace that was made or dropped while the backup began has no directory here, or an empty one. */
export function requireSameTablespaces(before: readonly Tablespace[], now: readonly Tablespace[]): void {
  if (describeTablespaces(before) === describeTablespaces(now)) return
  throw new PbManifestError('SERVER', 'tablespaces were made or dropped while the backup began', {
    hint: 'Start the backup again.',
  })
}

/**
 * Makes the directories inside.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function makeDirectories(root: string, directories: readonly ClusterFile[], modes: TargetModes): void {
  for (const directory of directories) {
    const { pathname } = directory
    const mode = modeOf(directory, modes)
    const path = pathOf(root, pathname)
    try {
      mkdirSync(path, { mode })
      chmodSync(path, mode)
    } catch (error) {
      // pg_tblspc is there with its links, and pg_wal may be there with WAL.
      if (describeSystemError(error)?.code === 'EEXIST') continue
      throw ioError(`could not create directory "${displayPathname(`${root}/${pathname}`)}"`, error)
    }
  }
}

function describeTablespaces(tablespaces: readonly Tablespace[]): string {
  return JSON.stringify(tablespaces.map(({ oid, location }) => [oid, location]))
}
