import { PAGE_SIZE } from '../postgres/data-page/page-layout.js'

/** What a backup has of a file, as far as it decides from where the blocks of the result come. */
export type SourceLayout =
  | {
      readonly kind: 'incremental'
      /** Ascending. */
      readonly blocks: Uint32Array
      readonly truncationBlockLength: number
    }
  | { readonly kind: 'whole'; readonly bytes: number }

/** In {@link Reconstruction.origins}: no backup has the block, so it is zero. */
export const FROM_NOWHERE = 0xffff

/** How the whole file is made. */
export interface Reconstruction {
  /** Blocks of the result. */
  readonly blocks: number
  /** Of each block, the index of the source that has it, or {@link FROM_NOWHERE}. */
  readonly origins: Uint16Array
  /** Whether the result is the whole file of the last source, and nothing else. */
  readonly isCopy: boolean
}

/**
 * Decides from where each block of a file comes: from the newest backup that has it. What is below the length that the newest one states and
 * that none has was never written, and is zero.
 *
 * @param sources - the newest backup first, which is incremental; those before it, down to the first that has the whole file
 * @returns `undefined` when none has it
 * @see src/bin/pg_combinebackup/reconstruct.c (`reconstruct_from_incremental_file`)
 */
export function planReconstruction(sources: readonly SourceLayout[]): Reconstruction | undefined {
  const [newest] = sources
  const whole = sources.at(-1)
  if (newest?.kind !== 'incremental' || whole?.kind !== 'whole') return undefined
  const { truncationBlockLength: stated } = newest
  const blocks = Math.max(stated, (newest.blocks.at(-1) ?? -1) + 1)
  const origins = new Uint16Array(blocks).fill(FROM_NOWHERE)
  let taken = 0
  for (const [index, source] of sources.entries()) {
    // Beyond the length that it states, the newest backup has all that there is.
    const end = index === 0 ? blocks : stated
    if (source.kind === 'incremental') taken += takeListed(origins, index, source.blocks, end)
    else takeAll(origins, index, Math.min(end, Math.floor(source.bytes / PAGE_SIZE)))
  }
  return { blocks, origins, isCopy: taken === 0 && whole.bytes === stated * PAGE_SIZE }
}

/** How many blocks come from there. */
function takeListed(origins: Uint16Array, index: number, listed: Uint32Array, end: number): number {
  let taken = 0
  for (const block of listed) {
    if (block >= end) break
    if (origins[block] !== FROM_NOWHERE) continue
    origins[block] = index
    taken++
  }
  return taken
}

function takeAll(origins: Uint16Array, index: number, end: number): void {
  for (let block = 0; block < end; block++) if (origins[block] === FROM_NOWHERE) origins[block] = index
}

/** How many blocks come from each source. */
export function countOrigins({ origins }: Reconstruction, sources: number): number[] {
  const counts = Array.from({ length: sources }, () => 0)
  for (const origin of origins) {
    if (origin !== FROM_NOWHERE) counts[origin] = (counts[origin] ?? 0) + 1
  }
  return counts
}
