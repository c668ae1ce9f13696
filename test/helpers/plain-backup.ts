import { existsSync } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'

/** The tablespace of a {@link PlainBackup}. */
interface BackupTablespace {
  readonly oid: string
  /** Where `pg_tblspc/<oid>` of the backup leads. */
  readonly directory: string
}

/**
 * A backup in plain format, as one folder that holds all of it: the data directory in `data`, the tablespaces in
 * `tablespaces/<oid>`.
 */
export interface PlainBackup {
  /** The folder. */
  readonly root: string
  /** The data directory: what a verifier is pointed at. */
  readonly directory: string
  readonly manifestPath: string
  readonly tablespaces: readonly BackupTablespace[]
}

/** Where the parts of a {@link PlainBackup} are. */
export function backupLayout(root: string): { directory: string; tablespacesDirectory: string } {
  return { directory: join(root, 'data'), tablespacesDirectory: join(root, 'tablespaces') }
}

/** Describes the {@link PlainBackup} in this folder. */
export async function readPlainBackup(root: string): Promise<PlainBackup> {
  const { directory } = backupLayout(root)
  const links = join(directory, 'pg_tblspc')
  const oids = existsSync(links) ? (await readdir(links)).toSorted() : []
  const tablespaces = oids.map(async (oid) => ({ oid, directory: await readlink(join(links, oid)) }))
  return {
    root,
    directory,
    manifestPath: join(directory, 'backup_manifest'),
    tablespaces: await Promise.all(tablespaces),
  }
}
