import type { Yielder } from '../../files/yielder.js'
import { pathOf } from '../../files/pathname.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import { createFileHasher } from '../../manifest/checksum/create-file-hasher.js'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import { checkFile, type FileOutcome, problemOf, ReadBuffer } from './check-file.js'
import type { FileTable } from '../file-table/file-table.js'
import { type FileStates, isIntact } from './checksum-messages.js'
import type { KnownChecksums } from '../options.js'
import type { ProblemList } from '../problems.js'

const BUFFER_BYTES = 256 * 1024

export interface KnownChecksumContext {
  readonly directory: string
  readonly table: FileTable
  readonly states: FileStates
  readonly problems: ProblemList
  readonly yielder: Yielder
}

/**
 * Compares the manifest with checksums that are known already. Only a file whose checksum is not known, or is not the
 * manifest's, is read.
 *
 * @returns how many files were compared, and how many bytes they have
 */
export async function compareKnownChecksums(
  known: KnownChecksums,
  { directory, table, states, problems, yielder }: KnownChecksumContext,
): Promise<{ filesChecked: number; bytesChecked: number }> {
  const totals = { filesChecked: 0, bytesChecked: 0 }
  const buffer = new ReadBuffer(Buffer.allocUnsafe(BUFFER_BYTES))
  const hashers = new Map<RealChecksumAlgorithm, FileHasher>()
  for (let row = 0; row < table.rows; row++) {
    const algorithm = table.algorithm(row)
    if (yielder.isDue) await yielder.yield()
    if (algorithm === undefined || !isIntact(states, row)) continue
    const pathname = table.pathname(row)
    let outcome: FileOutcome = { type: 'match' }
    if (known.get(pathname) !== table.checksum(row)) {
      const findOtherChecksum = (hasher: FileHasher): string | undefined =>
        table.findOtherChecksum(row, hasher)
      const expected = { path: pathOf(directory, pathname), size: table.size(row), findOtherChecksum }
      const hasher = hashers.get(algorithm) ?? (await createFileHasher(algorithm, 'unknown'))
      hashers.set(algorithm, hasher)
      outcome = checkFile(expected, buffer, { hasher, onContent: undefined, onBytes: () => {} }, true)
    }
    if (outcome.type === 'match' || outcome.type === 'mismatch') {
      totals.filesChecked++
      totals.bytesChecked += table.size(row)
    }
    const problem = problemOf(table, row, outcome)
    if (problem !== undefined) problems.add(problem)
  }
  return totals
}
