import type { BackupProgress } from '../../../src/transfer/client/options.js'

/**
 * The line of `pg_basebackup --progress`: `  123/45678 kB (0%), 0/2 tablespaces`.
 *
 * @see src/bin/pg_basebackup/pg_basebackup.c, progress_report
 */
export function formatBackupProgress(progress: BackupProgress): string {
  const { bytesDone, bytesTotal, tablespacesDone, tablespacesTotal } = progress
  const total = String(Math.floor(bytesTotal / 1024))
  const done = String(Math.floor(bytesDone / 1024)).padStart(total.length)
  const percent = bytesTotal === 0 ? 0n : (BigInt(bytesDone) * 100n) / BigInt(bytesTotal)
  const noun = tablespacesTotal === 1 ? 'tablespace' : 'tablespaces'
  return `${done}/${total} kB (${percent}%), ${tablespacesDone}/${tablespacesTotal} ${noun}`
}
