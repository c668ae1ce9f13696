import { PbManifestError } from '../../errors.js'
import { comparePathnames, displayPathname } from '../../files/pathname.js'
import { ownPathname, type SafePathname } from '../../files/safe-pathname.js'
import { CONTROL_FILE as CONTROL_FILE_PATHNAME } from '../../postgres/data-directory.js'
import type { ClusterFile, Tablespace } from '../cluster-files/cluster-files.js'
import { isMadeByBackup } from '../../manifest/contents/made-by-backup.js'
import type { TargetEntry } from '../../target/backup-target.js'
import type { BackupSession } from '../session/backup-session.js'
import type { FirstFailure } from './first-failure.js'
import type { WantedFile } from './file-receiver.js'
import { modeOf, type TargetModes } from './prepare-target.js'
import { runCommand } from './run-context.js'

/** Read last of all, because a standby's recovery goes by it. */
const CONTROL_FILE: SafePathname = ownPathname(CONTROL_FILE_PATHNAME)

/** What a backup will have. */
export interface ClusterListing {
  /** The data directory is the last. */
  readonly tablespaces: readonly Tablespace[]
  /** The outer ones first; those of tablespaces below `pg_tblspc/OID`. */
  readonly directories: readonly TargetEntry[]
  /** Without pg_control. */
  readonly files: readonly WantedFile[]
  readonly controlFile: WantedFile
}

/**
 * @param withSizes - whether the sizes of the tablespaces are wanted, for which the server looks at every file
 * @throws {@link PbManifestError} `SERVER`, also when something is listed where a backup has no such thing
 */
export async function listCluster(
  session: BackupSession,
  failure: FirstFailure,
  withSizes: boolean,
  modes: TargetModes,
): Promise<ClusterListing> {
  const tablespaces = await runCommand(session, failure, { command: 'LIST_TABLESPACES', progress: withSizes })
  const directories: TargetEntry[] = []
  const files: WantedFile[] = []
  let controlFile: WantedFile = { pathname: CONTROL_FILE, size: 0, mode: modes.fileMode }
  for (const { oid, location } of tablespaces) {
    // A tablespace in its place, without a link, has a directory there.
    if (oid !== undefined && !location.startsWith('/')) directories.push(directoryOf(oid, modes))
    const listed = await runCommand(session, failure, { command: 'LIST_FILES', tablespace: oid })
    for (const file of listed) {
      requirePlace(file, oid)
      if (file.kind === 'directory') {
        const { pathname, modified } = file
        directories.push({ pathname, modified, mode: modeOf(file, modes) })
      } else {
        const { pathname, size, wholeSize } = file
        const wanted = { pathname, size, mode: modeOf(file, modes), wholeSize }
        if (file.pathname === CONTROL_FILE) controlFile = wanted
        else files.push(wanted)
      }
    }
  }
  const outerFirst = directories.toSorted((left, right) => comparePathnames(left.pathname, right.pathname))
  return { tablespaces, directories: outerFirst, files, controlFile }
}

function directoryOf(oid: number, { directoryMode }: TargetModes): TargetEntry {
  return { pathname: ownPathname(`pg_tblspc/${oid}`), mode: directoryMode, modified: 0 }
}

/**
 * Links lead from pg_tblspc to other directories, which may be anywhere: what is written there has to be below the directory
 * that a cluster makes for itself in a tablespace. Files of pg_wal come another way, and some files only we make.
 */
function requirePlace({ pathname, kind }: ClusterFile, tablespaceOid: number | undefined): void {
  const isInPlace =
    tablespaceOid === undefined
      ? !pathname.startsWith('pg_tblspc/') && !(kind === 'file' && /^pg_wal(?:\/|$)/.test(pathname))
      : pathname.startsWith(`pg_tblspc/${tablespaceOid}/PG_`)
  if (isInPlace && !isMadeByBackup(pathname)) return
  const where = tablespaceOid === undefined ? 'the data directory' : `tablespace ${tablespaceOid}`
  throw new PbManifestError(
    'SERVER',
    `"${displayPathname(pathname)}" is listed in ${where}, where a backup has no such ${kind}`,
  )
}
