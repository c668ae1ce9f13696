import type { ClusterFile } from '../cluster-files.js'
import { CHUNK_BYTES } from './read-query.js'

/** Files that are read together, and how much of each one query may read. */
export interface ReadBatch {
  readonly files: readonly ClusterFile[]
  readonly limit: number
}

/**
 * How much one query reads, about. While it runs, its snapshot keeps VACUUM from removing rows, and a standby may have to
 * cancel it; but each query costs a round trip.
 */
const QUERY_BYTES = 512 * CHUNK_BYTES

const FILES_AT_ONCE = 1000

/** Puts files next to each other into batches: small ones together, a large one alone, in several queries. */
export function planReads(files: readonly ClusterFile[]): readonly ReadBatch[] {
  const batches: ReadBatch[] = []
  let together: ClusterFile[] = []
  let bytes = 0
  const endBatch = (): void => {
    if (together.length > 0) batches.push({ files: together, limit: Number.MAX_SAFE_INTEGER })
    together = []
    bytes = 0
  }
  for (const file of files) {
    if (bytes + file.size > QUERY_BYTES || together.length === FILES_AT_ONCE) endBatch()
    if (file.size > QUERY_BYTES) batches.push({ files: [file], limit: QUERY_BYTES })
    else {
      together.push(file)
      bytes += file.size
    }
  }
  endBatch()
  return batches
}
