import { randomBytes } from 'node:crypto'

/** A new backup id: 16 random bytes, as 32 lower-case hexadecimal digits. Whoever knows it may join the backup. */
export function createBackupId(): string {
  return randomBytes(16).toString('hex')
}

/** Whether this text can be a backup id. */
export function isBackupId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text)
}
