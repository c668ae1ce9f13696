import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { neededDirectories } from '../../src/postgres/needed-directories.js'
import { nearestVersion } from '../../src/postgres/versions.js'

/** Makes the directories in a backup made by hand that a server of this version needs: 15 unless said otherwise. */
export async function makeNeededDirectories(directory: string, major = 15): Promise<void> {
  for (const pathname of neededDirectories(nearestVersion(major))) {
    await mkdir(join(directory, pathname), { recursive: true })
  }
}
