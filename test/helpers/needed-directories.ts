import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { everNeededDirectories } from '../../src/postgres/data-directory.js'

/** Makes the directories in a backup made by hand that a server needs, of any version and with any settings. */
export async function makeNeededDirectories(directory: string): Promise<void> {
  for (const pathname of everNeededDirectories) {
    await mkdir(join(directory, pathname), { recursive: true })
  }
}
