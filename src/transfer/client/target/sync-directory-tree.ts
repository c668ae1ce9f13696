import { type Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { syncDirectory } from '../../../files/durable-file.js'
import { ioError } from '../../../files/system-error.js'

/** Makes the names in a directory, and in all below it, durable. Links are not followed. */
export async function syncDirectoryTree(root: string): Promise<void> {
  const waiting = [Buffer.from(root)]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    try {
      for (const entry of await listEntries(path)) {
        if (entry.isDirectory()) waiting.push(Buffer.concat([path, Buffer.from('/'), entry.name]))
      }
      await syncDirectory(path)
    } catch (error) {
      throw ioError(`could not fsync directory "${path.toString()}"`, error)
    }
  }
}

async function listEntries(path: Buffer): Promise<readonly Dirent<Buffer>[]> {
  return readdir(path, { withFileTypes: true, encoding: 'buffer' })
}
