import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ChecksumAlgorithm } from '../../src/manifest/checksum/checksum-algorithm.js'
import { fragmentFileName } from '../../src/manifest/fragment/backup-id.js'
import { writeFragment } from '../../src/manifest/fragment/write-fragment.js'
import type { ManifestFile } from '../../src/manifest/model.js'
import { backupId } from '../manifest/fragment-text.js'

/** Lets four workers record a directory at the same time. */
export async function writeFragments(
  directory: string,
  parent: string,
  checksumAlgorithm: ChecksumAlgorithm = 'CRC32C',
): Promise<string[]> {
  const folder = join(parent, `fragments-${checksumAlgorithm}`)
  mkdirSync(folder)
  const workers = 4
  return await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      const output = join(folder, fragmentFileName(backupId, worker))
      await writeFragment({ directory, output, backupId, worker, workers, checksumAlgorithm })
      return output
    }),
  )
}

/**
 * What two manifests of one backup have in common, whoever wrote them: not the order, and not the times, since a server
 * gives files that it makes itself the time of sending. WAL is left out, which only a server lists, and only sometimes.
 */
export function comparable(files: readonly ManifestFile[]): unknown[] {
  return files
    .filter((file) => !file.pathname.startsWith('pg_wal/'))
    .map(({ pathname, size, checksum }) => ({ pathname, size, checksum }))
    .toSorted((left, right) => (left.pathname < right.pathname ? -1 : 1))
}
