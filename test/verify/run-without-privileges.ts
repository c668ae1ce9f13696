import { spawnSync } from 'node:child_process'
import { type BackupCopy, copyBackup } from '../helpers/copy-backup.js'
import type { PlainBackup } from '../helpers/plain-backup.js'
import { type ProgramResult, runProgram } from '../helpers/run-program.js'
import { mainFile } from '../cli/pbmanifest.js'

const isRoot = process.getuid?.() === 0

/**
 * Runs a program as ourselves, but without what sets root apart from any other owner of files: so that a file with mode
 * 0 cannot be read, and a directory with mode 0555 not be written, by anybody.
 */
export function runWithoutPrivileges(file: string, args: readonly string[]): Promise<ProgramResult> {
  return isRoot ? runProgram('setpriv', ['--bounding-set=-all', '--', file, ...args]) : runProgram(file, args)
}

/** {@link runWithoutPrivileges} for our own program. */
export function pbmanifestWithoutPrivileges(args: readonly string[]): Promise<ProgramResult> {
  return runWithoutPrivileges(process.execPath, [mainFile, ...args])
}

/** Makes a tree our own, as it is for the user that runs both the server and the verifier. */
export function ownTree(root: string): void {
  if (!isRoot) return
  const { status, stderr } = spawnSync('chown', ['-hR', '0:0', root])
  if (status !== 0) throw new Error(`chown: ${stderr.toString()}`)
}

/** A copy of a backup that is ours, so that we may not read what its owner may not. */
export async function copyAsOwner(backup: PlainBackup): Promise<BackupCopy> {
  const copy = await copyBackup(backup)
  ownTree(copy.root)
  return copy
}
