import type { Pathname } from '../../../files/pathname.js'
import type { RequestedFile } from '../cluster-files.js'
import { copyToStdout } from './copied-rows.js'
import { pathArray } from './path-expressions.js'

/** How much of a file one row has. Measured: 128 KiB 1.1 GB/s, 256 KiB 1.5, 512 KiB 1.3, 1 MiB 1.0, 4 MiB 0.6. */
export const CHUNK_BYTES: number = 256 * 1024

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

/** What one query reads: files from their beginning, or more of one whose size is fixed already. */
export type ReadStep =
  | {
      readonly kind: 'begin'
      readonly pathnames: readonly Pathname[]
      /** No more than this is read. Files for which that is too little are not told of, but for the first one. */
      readonly limit: number
    }
  | {
      readonly kind: 'continue'
      readonly pathname: Pathname
      readonly offset: number
      /** Exclusive. */
      readonly end: number
    }

/** Columns before the bytes: place in the list (from 1), size, time of modification, offset. */
export const READ_COLUMNS = 5

/**
 * The COPY for a step. The status of a file is taken as it is about to be read, so its size is true; nothing that has no
 * size is opened, because it may be a FIFO, whose reader would wait for ever.
 */
export function readQuery(step: ReadStep): string {
  return copyToStdout(step.kind === 'begin' ? beginQuery(step) : continueQuery(step))
}

/**
 * The files may have grown since they were listed, so their sizes are summed up as they are now. The sum runs along with the
 * files, which come in their order, so nothing is sorted and no status taken before its turn.
 *
 * Not least(size, limit): of a null, which is the size of what is gone, it makes the limit.
 */
function beginQuery({ pathnames, limit }: ReadStep & { kind: 'begin' }): string {
  return `
    SELECT place, size, modified, at,
           pg_catalog.pg_read_binary_file(path, at, least(${String(CHUNK_BYTES)}, size - at, ${String(limit)} - at), true)
      FROM (SELECT path, place, size, modified,
                   coalesce(pg_catalog.sum(size) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING), 0) AS total
              FROM pg_catalog.unnest(${pathArray(pathnames)}) WITH ORDINALITY AS file (path, place)
                   CROSS JOIN LATERAL (SELECT CASE WHEN NOT isdir THEN size END, pg_catalog.date_part('epoch', modification)::bigint
                                         FROM pg_catalog.pg_stat_file(path, true)) AS status (size, modified)) AS file
           LEFT JOIN LATERAL pg_catalog.generate_series(0, CASE WHEN size > ${String(limit)} THEN ${String(limit)} ELSE size END - 1,
                                             ${String(CHUNK_BYTES)}) AS at ON true
     WHERE total <= ${String(limit)} OR place = 1`
}

function continueQuery({ pathname, offset, end }: ReadStep & { kind: 'continue' }): string {
  return `
    SELECT 1::bigint, null::bigint, null::bigint, at,
           pg_catalog.pg_read_binary_file(path, at, least(${String(CHUNK_BYTES)}, ${String(end)} - at), true)
      FROM pg_catalog.unnest(${pathArray([pathname])}) AS path,
           pg_catalog.generate_series(${String(offset)}::bigint, ${String(end)}::bigint - 1, ${String(CHUNK_BYTES)}) AS at`
}
