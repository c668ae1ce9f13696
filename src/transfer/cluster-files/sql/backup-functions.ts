/** The names of backup mode's functions, which changed with version 15. `$1`, `$2` are what our queries give them. */
export interface BackupFunctions {
  /** Parameters: label, fast. */
  readonly start: string
  /** Parameter: whether to wait for the archive. */
  readonly stop: string
}

/** @see https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP */
export function backupFunctions(majorVersion: number): BackupFunctions {
  // Exclusive mode, the default of old, would write backup_label into the live data directory.
  return majorVersion >= 15
    ? { start: 'pg_backup_start($1, $2)', stop: 'pg_backup_stop($1)' }
    : { start: 'pg_start_backup($1, $2, false)', stop: 'pg_stop_backup(false, $1)' }
}
