import { randomBytes } from 'node:crypto'

/** A new backup id: 16 random bytes, as 32 lower-case hexadecimal digits. Whoever knows it may join the backup. */
export function createBackupId(): string {
  return randomBytes(16).toString('hex')
}

/** Whether this text can be a backup id. */
export function isBackupId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text)
}

/** The name that a fragment has by convention. */
export function fragmentFileName(backupId: string, worker: number): string {
  return `backup_manifest_${backupId}.${worker}`
}

/** Whose fragment a file of this name is by convention; `undefined` for any other name. */
export function parseFragmentFileName(
  name: string,
): { readonly backupId: string; readonly worker: number } | undefined {
  const [, backupId = '', worker = ''] = /^backup_manifest_([0-9a-f]*)\.(0|[1-9][0-9]{0,8})$/.exec(name) ?? []
  return isBackupId(backupId) ? { backupId, worker: Number(worker) } : undefined
}
