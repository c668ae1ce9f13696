import { statSync } from 'node:fs'
import { readNames } from '../files/read-directory.js'
import { parseArchiveName } from '../source/tar/archive.js'

/**
 * Finds out which format the backup in a directory has: plain when there is a `PG_VERSION`.
 *
 * `pg_verifybackup` takes every other directory as tar, so of a plain backup that lost its `PG_VERSION` it says only
 * that nothing in it is expected. Here it is tar only when something in it is named like an archive.
 *
 * @see src/bin/pg_verifybackup/pg_verifybackup.c, find_backup_format
 */
export function detectBackupFormat(directory: string): 'plain' | 'tar' {
  try {
    statSync(`${directory}/PG_VERSION`)
    return 'plain'
  } catch {
    return hasArchive(directory) ? 'tar' : 'plain'
  }
}

function hasArchive(directory: string): boolean {
  try {
    return readNames(directory).some((name) => parseArchiveName(name) !== undefined)
  } catch {
    // The verification itself will say so.
    return false
  }
}
