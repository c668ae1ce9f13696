import { comparePathnames } from '../../files/pathname.js'
import type { ClusterFile, Tablespace } from '../cluster-files/cluster-files.js'
import type { BackupSession } from '../session/backup-session.js'
import type { FirstFailure } from './first-failure.js'
import { runCommand } from './run-command.js'

/** Read last of all, because a standby's recovery goes by it. */
export const CONTROL_FILE = 'global/pg_control'

/** What a backup will have. */
export interface ClusterListing {
  /** The data directory is the last. */
  readonly tablespaces: readonly Tablespace[]
  /** The outer ones first; those of tablespaces below `pg_tblspc/OID`. */
  readonly directories: readonly ClusterFile[]
  /** Without pg_control. */
  readonly files: readonly ClusterFile[]
}

/** @param withSizes - whether the sizes of the tablespaces are wanted, for which the server looks at every file */
export async function listCluster(
  session: BackupSession,
  failure: FirstFailure,
  withSizes: boolean,
): Promise<ClusterListing> {
  const tablespaces = await runCommand(session, failure, { command: 'LIST_TABLESPACES', progress: withSizes })
  const directories: ClusterFile[] = []
  const files: ClusterFile[] = []
  for (const { oid, location } of tablespaces) {
    // A tablespace in its place, without a link, has a directory there.
    if (oid !== undefined && !location.startsWith('/')) directories.push(directoryOf(oid))
    const listed = await runCommand(session, failure, { command: 'LIST_FILES', tablespace: oid })
    for (const file of listed) {
      if (file.kind === 'directory') directories.push(file)
      else if (file.pathname !== CONTROL_FILE) files.push(file)
    }
  }
  const outerFirst = directories.toSorted((left, right) => comparePathnames(left.pathname, right.pathname))
  return { tablespaces, directories: outerFirst, files }
}

function directoryOf(oid: number): ClusterFile {
  return { pathname: `pg_tblspc/${oid}`, kind: 'directory', size: 0, modified: 0 }
}
