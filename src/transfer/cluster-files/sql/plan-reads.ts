import type { RequestedFile } from '../cluster-files.js'
import { CHUNK_BYTES } from './read-query.js'

/**
 * How much one query reads at most. While it runs, its snapshot keeps VACUUM from removing rows, and a standby may have to
 * cancel it; but each query costs a round trip.
 */
export const QUERY_BYTES: number = 512 * CHUNK_BYTES

const FILES_AT_ONCE = 1000

/**
 * Puts files next to each other into batches, each for one query: small ones together; a large one alone, for several
 * queries, and so is one of which nobody says how large it is.
 */
export function planReads<File extends RequestedFile>(files: readonly File[]): readonly (readonly File[])[] {
  const batches: File[][] = []
  let batch: File[] = []
  let bytes = 0
  for (const file of files) {
    const { size = Infinity } = file
    if (batch.length > 0 && (bytes + size > QUERY_BYTES || batch.length === FILES_AT_ONCE)) {
      batches.push(batch)
      batch = []
      bytes = 0
    }
    batch.push(file)
    bytes += size
  }
  if (batch.length > 0) batches.push(batch)
  return batches
}
