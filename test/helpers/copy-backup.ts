import { rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { backupLayout, type PlainBackup, readPlainBackup } from './plain-backup.js'
import { copyTree } from './run-program.js'
import { createScratchDirectory } from './scratch-directory.js'

/** A copy of a backup that its owner may damage and must remove. */
export interface BackupCopy extends PlainBackup {
  remove(): void
}

/** Copies a backup, tablespaces and all, to a scratch directory. */
export async function copyBackup(backup: PlainBackup): Promise<BackupCopy> {
  const scratch = createScratchDirectory()
  const copy = await copyBackupTo(backup, scratch.path)
  return { ...copy, remove: () => scratch.remove() }
}

/** Copies a backup into an existing directory; its tablespace links then lead to the copied tablespaces. */
export async function copyBackupTo(backup: PlainBackup, root: string): Promise<PlainBackup> {
  const { directory, tablespacesDirectory } = backupLayout(root)
  await copyTree(`${backup.root}/.`, root)
  for (const { oid } of backup.tablespaces) {
    const link = join(directory, 'pg_tblspc', oid)
    await rm(link)
    await symlink(join(tablespacesDirectory, oid), link)
  }
  return readPlainBackup(root)
}
