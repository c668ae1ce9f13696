import { Abandoned } from '../../threads/claims.js'
import { absentFile } from './check-file.js'
import type { StartChecking, WorkerMessage } from './checksum-messages.js'
import { FileRows } from '../file-table/file-rows.js'
import { RowChecker } from './row-checker.js'
import { ThreadHashers } from './thread-hashers.js'
import { outcomeCodes, WorkQueue } from './work-queue.js'

/**
 * Checks files from the queue until it is empty and closed, or abandoned.
 *
 * @param post - is told of each file of which there is something to tell, and of the end
 */
export async function checkQueue(
  start: StartChecking,
  post: (message: WorkerMessage) => void,
): Promise<void> {
  try {
    await checkClaimed(start, post)
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error
  }
  post({ type: 'done' })
}

async function checkClaimed(start: StartChecking, post: (message: WorkerMessage) => void): Promise<void> {
  const rows = new FileRows(start.table)
  const queue = new WorkQueue(start.queue)
  const hashers = new ThreadHashers(queue, (use) => post({ type: 'engine', use }))
  const checker = new RowChecker(start, rows, queue)
  for (let place = queue.claim(); place !== -1; place = queue.claim()) {
    const row = queue.row(place)
    const algorithm = rows.algorithm(row)
    const ready = algorithm && hashers.of(algorithm)
    const hasher = ready instanceof Promise ? await ready : ready
    const finding = checker.check(place, row, hasher)
    const isAbsent = finding?.outcome === absentFile
    if (finding !== undefined && !isAbsent) post({ type: 'finding', place, finding })
    const { good, told, absent } = outcomeCodes
    queue.setOutcome(place, isAbsent ? absent : finding === undefined ? good : told)
  }
}
