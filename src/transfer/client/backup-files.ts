import { type FileHandle, open, rename } from 'node:fs/promises'
import { syncDirectory, writeFully } from '../../files/durable-file.js'
import { ioError } from '../../files/system-error.js'

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
  path: string,
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
  { fileMode, sync }: WriteOptions,
): Promise<number> {
  let handle: FileHandle | undefined
  let bytes = 0
  try {
    handle = await open(path, 'wx', fileMode)
    await handle.chmod(fileMode)
    for await (const chunk of chunks) {
      await writeFully(handle, chunk)
      bytes += chunk.length
    }
    if (sync) await handle.sync()
  } catch (error) {
    throw ioError(`could not write file "${path}"`, error)
  } finally {
    await handle?.close()
  }
  return bytes
}

/** Gives a manifest its name: from now on the backup is complete. */
export async function renameManifest(directory: string, { sync }: { readonly sync: boolean }): Promise<void> {
  const path = `${directory}/backup_manifest`
  try {
    await rename(`${path}.tmp`, path)
    if (sync) await syncDirectory(directory)
  } catch (error) {
    throw ioError(`could not rename file "${path}.tmp" to "${path}"`, error)
  }
}
