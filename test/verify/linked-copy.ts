import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, readlink, rename, rm, symlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { type PlainBackup, readPlainBackup } from '../helpers/plain-backup.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory } from '../helpers/scratch-directory.js'
import type { BackupCopy } from '../helpers/copy-backup.js'

/**
 * Copies a backup by hard links, which takes no time. Whoever changes a file calls {@link unshare} before.
 */
export async function linkedCopy(backup: PlainBackup): Promise<BackupCopy> {
  const scratch = createScratchDirectory()
  await mustRun('cp', ['-al', `${backup.root}/.`, scratch.path])
  const links = join(scratch.path, 'data/pg_tblspc')
  for (const { oid } of backup.tablespaces) {
    const target = relative(backup.root, await readlink(join(links, oid)))
    await rm(join(links, oid))
    await symlink(join(scratch.path, target), join(links, oid))
  }
  const remove = (): void => {
    // Unlike Node it can remove what lies deeper than a path may be long.
    spawnSync('rm', ['-rf', join(scratch.path, 'data')])
    scratch.remove()
  }
  return { ...(await readPlainBackup(scratch.path)), remove }
}

/** Makes a file that may have several links one of its own; does nothing when there is none. */
export async function unshare(path: string): Promise<void> {
  if (!existsSync(path)) return
  const temporary = `${path}.unshared`
  await cp(path, temporary, { preserveTimestamps: true })
  await rename(temporary, path)
}
