import { appendFile, type FileHandle, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ioError } from '../files/system-error.js'

/** The file to which `-R` adds. */
export const SETTINGS_FILE = 'postgresql.auto.conf'
/** The empty file beside it. */
export const SIGNAL_FILE = 'standby.signal'

/**
 * Makes a standby of a backup in plain format: `-R`.
 *
 * @throws {@link PbManifestError} `IO`
 * @see src/fe_utils/recovery_gen.c (`WriteRecoveryConfig`)
 */
export async function writeRecoverySettings(
  directory: string,
  settings: string,
  { fileMode: mode, sync }: { readonly fileMode: number; readonly sync: boolean },
): Promise<void> {
  const paths = [join(directory, SETTINGS_FILE), join(directory, SIGNAL_FILE)] as const
  try {
    await appendFile(paths[0], settings, { mode })
    await writeFile(paths[1], '', { mode })
    if (sync) for (const path of paths) await syncFile(path)
  } catch (error) {
    throw ioError(`could not write recovery configuration in "${directory}"`, error)
  }
}

async function syncFile(path: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, 'r+')
    await handle.sync()
  } finally {
    await handle?.close()
  }
}
