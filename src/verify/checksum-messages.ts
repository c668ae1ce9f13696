import type { FileTableBuffers } from './file-table/file-table-layout.js'
import type { FileOutcome } from './check-file.js'
import type { EngineUse } from './thread-hashers.js'
import type { WorkQueueBuffers } from './work-queue.js'

/** What a worker is started with. */
export interface StartChecking {
  readonly directory: string
  readonly table: FileTableBuffers
  readonly queue: WorkQueueBuffers
}

/** What a worker sends. Of files that are as they should be, nothing is sent. */
export type WorkerMessage =
  /** What is wrong with the file at a place of the queue. */
  | { readonly type: 'finding'; readonly place: number; readonly outcome: FileOutcome }
  /** Checksums of an algorithm will be computed by this. */
  | { readonly type: 'engine'; readonly use: EngineUse }
  /** The queue is empty and closed. */
  | { readonly type: 'done' }
