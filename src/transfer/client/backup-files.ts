import { type FileHandle, open, rename } from 'node:fs/promises'
import { syncDirectory, writeFully } from '../../files/durable-file.js'
import { pathOf } from '../../files/path-of.js'
import { ownPathname, type SafePathname } from '../../files/safe-pathname.js'
import { ioError } from '../../files/system-error.js'
import { BACKUP_LABEL } from '../../manifest/cluster-files.js'
import { UNFINISHED_MANIFEST } from '../../manifest/contents/made-by-backup.js'

/** The files of a backup that the leader itself makes; a server has none of these. */
export const BACKUP_LABEL_FILE: SafePathname = ownPathname(BACKUP_LABEL)
export const UNFINISHED_MANIFEST_FILE: SafePathname = ownPathname(UNFINISHED_MANIFEST)

/** How the leader's own files are written. */
export interface WriteOptions {
  readonly fileMode: number
  readonly sync: boolean
}

/**
 * Creates a file with these bytes.
 *
 * @returns how many they were
 * @throws {@link PbManifestError} `IO`, or what the chunks throw
 */
export async function writeBackupFile(
  directory: string,
  pathname: SafePathname,
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
  { fileMode, sync }: WriteOptions,
): Promise<number> {
  let handle: FileHandle | undefined
  let bytes = 0
  try {
    handle = await open(pathOf(directory, pathname), 'wx', fileMode)
    await handle.chmod(fileMode)
    for await (const chunk of chunks) {
      await writeFully(handle, chunk)
      bytes += chunk.length
    }
    if (sync) await handle.sync()
  } catch (error) {
    throw ioError(`could not write file "${directory}/${pathname}"`, error)
  } finally {
    await handle?.close()
  }
  return bytes
}

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
