import { rename } from 'node:fs/promises'
import { syncDirectory } from '../../files/durable-file.js'
import { ownPathname, type SafePathname } from '../../files/safe-pathname.js'
import { ioError } from '../../files/system-error.js'
import { BACKUP_LABEL } from '../../postgres/data-directory.js'
import { UNFINISHED_MANIFEST } from '../../manifest/contents/made-by-backup.js'

/** The files of a backup that the leader itself makes; a server has none of these. */
export const BACKUP_LABEL_FILE: SafePathname = ownPathname(BACKUP_LABEL)
export const UNFINISHED_MANIFEST_FILE: SafePathname = ownPathname(UNFINISHED_MANIFEST)

/** Gives a manifest its name: from now on the backup is complete. */
export async function renameManifest(directory: string, { sync }: { readonly sync: boolean }): Promise<void> {
  const path = `${directory}/backup_manifest`
  const unfinished = `${directory}/${UNFINISHED_MANIFEST_FILE}`
  try {
    await rename(unfinished, path)
    if (sync) await syncDirectory(directory)
  } catch (error) {
    throw ioError(`could not rename file "${unfinished}" to "${path}"`, error)
  }
}
