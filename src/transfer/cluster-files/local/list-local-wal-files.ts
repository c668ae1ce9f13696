import { lstatSync } from 'node:fs'
import { type DirectoryEntry, readDirectory } from '../../../files/read-directory.js'
import { ioError, isNotThere } from '../../../files/system-error.js'
import { parseWalFileName } from '../../../postgres/wal-file-name.js'
import type { WalFile } from '../cluster-files.js'

/**
 * The segments and timeline history files in pg_wal, by name.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function listLocalWalFiles(directory: string): WalFile[] {
  const walDirectory = `${directory}/pg_wal`
  return readEntries(walDirectory).flatMap((entry) => {
    const name = entry.kind === 'file' ? parseWalFileName(entry.name) : undefined
    const size = name === undefined ? undefined : sizeOf(`${walDirectory}/${name}`)
    return name === undefined || size === undefined ? [] : [{ name, size }]
  })
}

function readEntries(path: string): DirectoryEntry[] {
  try {
    return readDirectory(path)
  } catch (error) {
    throw ioError(`could not open directory "${path}"`, error)
  }
}

/** `undefined` when it was removed meanwhile. */
function sizeOf(path: string): number | undefined {
  try {
    return lstatSync(path).size
  } catch (error) {
    if (isNotThere(error)) return undefined
    throw ioError(`could not stat file "${path}"`, error)
  }
}
