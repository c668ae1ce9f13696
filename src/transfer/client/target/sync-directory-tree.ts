import { type Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { syncDirectory } from '../../../files/durable-file.js'
import { decodePathname, displayPathname, encodePathname, type Pathname } from '../../../files/pathname.js'
import { ioError } from '../../../files/system-error.js'

/** Makes the names in a directory, and in all below it, durable. Links are not followed. */
export async function syncDirectoryTree(root: Pathname): Promise<void> {
  const waiting = [encodePathname(root)]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    try {
      for (const entry of await listEntries(path)) {
        if (entry.isDirectory()) waiting.push(Buffer.concat([path, Buffer.from('/'), entry.name]))
      }
      await syncDirectory(path)
    } catch (error) {
      throw ioError(`could not fsync directory "${displayPathname(decodePathname(path))}"`, error)
    }
  }
}

async function listEntries(path: Buffer): Promise<readonly Dirent<Buffer>[]> {
  return readdir(path, { withFileTypes: true, encoding: 'buffer' })
}
