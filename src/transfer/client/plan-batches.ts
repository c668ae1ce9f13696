import { comparePathnames } from '../../files/pathname.js'
import type { WantedFile } from './file-receiver.js'

/** What a file costs beside its bytes (to be opened, created, named), as bytes that could be copied meanwhile. */
const COST_OF_FILE = 16 * 1024

const MIN_BATCH_COST = 512 * 1024
const MAX_BATCH_COST = 16 * 1024 * 1024

/** Files that one SEND_FILE is for. */
export type Batch = readonly WantedFile[]

/**
 * Divides files into batches for workers that take one after the other: the largest first, each large one alone, small
 * ones together. Towards the end the batches become smaller, so that all workers end at about the same time.
 *
 * The order in which the files come does not matter.
 */
export function planBatches(files: readonly WantedFile[], workers: number): Batch[] {
  const batches: Batch[] = []
  let remaining = files.reduce((sum, file) => sum + costOf(file), 0)
  let batch: WantedFile[] = []
  let cost = 0
  for (const file of files.toSorted(byDescendingSize)) {
    const limit = Math.min(Math.max(remaining / (workers * 4), MIN_BATCH_COST), MAX_BATCH_COST)
    if (batch.length > 0 && cost + costOf(file) > limit) {
      batches.push(batch)
      remaining -= cost
      batch = []
      cost = 0
    }
    batch.push(file)
    cost += costOf(file)
  }
  if (batch.length > 0) batches.push(batch)
  // Whole files and incremental ones are read in different ways, each best many at a time.
  return batches.map((files) =>
    files.toSorted((left, right) => Number(isIncremental(left)) - Number(isIncremental(right))),
  )
}

function isIncremental({ wholeSize }: WantedFile): boolean {
  return wholeSize !== undefined
}

function costOf({ size }: WantedFile): number {
  return size + COST_OF_FILE
}

function byDescendingSize(left: WantedFile, right: WantedFile): number {
  return right.size - left.size || comparePathnames(left.pathname, right.pathname)
}
