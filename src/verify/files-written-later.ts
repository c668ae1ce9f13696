import { isPbManifestError } from '../errors.js'
import { createFileHasher } from '../manifest/checksum/create-file-hasher.js'
import type { ReadSmallBackupFile, VerifyContext } from './verify-context.js'
import { filesWrittenLater } from './ignore-rules.js'
import type { Warning } from './report.js'

/** A longer one is not looked at. */
const MAX_BYTES = 1024 * 1024

/**
 * Looks at files that may be written into a good backup after its manifest, as `pg_basebackup -R` does, and so are never a
 * problem: warns of those that are not what the manifest says, and says that they do not count.
 *
 * @param isWhole - whether a file that was not seen is not there
 */
export async function checkFilesWrittenLater(
  readSmallFile: ReadSmallBackupFile,
  { manifest, ignore, warnings, notChecked }: VerifyContext,
  isWhole: boolean,
): Promise<void> {
  const { table } = manifest
  const met: string[] = []
  for (const name of filesWrittenLater) {
    if (ignore.coversOnRequest(name)) continue
    const row = table.find(name)
    const bytes = readOrNothing(readSmallFile, name)
    if (row === -1 && bytes === undefined) continue
    met.push(`"${name}"`)
    if (row === -1) {
      warnings.push(warningOf('added-later', name, 'is present on disk but not in the manifest'))
    } else if (bytes === undefined) {
      if (isWhole) {
        warnings.push(warningOf('removed-later', name, 'is present in the manifest but not on disk'))
      }
    } else if (bytes === 'unreadable') {
      warnings.push(warningOf('changed-later', name, 'could not be compared with the manifest'))
    } else {
      const algorithm = table.algorithm(row)
      const hasher = algorithm && (await createFileHasher(algorithm, 'unknown'))
      hasher?.reset()
      hasher?.update(bytes)
      const isSame =
        bytes.length === table.size(row) && (hasher === undefined || hasher.digest() === table.checksum(row))
      if (!isSame) warnings.push(warningOf('changed-later', name, 'is not what the manifest says'))
    }
  }
  if (met.length === 0) return
  const why = `${met.join(' and ')} may be written after the manifest, and only warned of`
  notChecked.push({ what: 'files-written-later', why })
}

function readOrNothing(readSmallFile: ReadSmallBackupFile, name: string): Buffer | 'unreadable' | undefined {
  try {
    return readSmallFile(name, MAX_BYTES)
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    return 'unreadable'
  }
}

function warningOf(kind: Warning['kind'], path: string, what: string): Warning {
  return { kind, path, message: `"${path}" ${what}` }
}
