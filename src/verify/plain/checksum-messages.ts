import type { Pathname } from '../../files/pathname.js'
import type { StoreAddress } from '../../source/store/store-address.js'
import type { StoreOptions } from '../../source/store/store-settings.js'
import type { PrestartedThread } from '../../threads/prestarted-thread.js'
import type { SharedRateBuffer } from '../../threads/shared-rate.js'
import type { StartMessage } from '../../threads/supervised-thread.js'
import type { ContentFindings } from '../content/page-tally.js'
import type { ContentRules } from '../content/decide-content-rules.js'
import type { FileTableBuffers } from '../file-table/file-rows.js'
import type { EngineUse } from '../make-report.js'
import type { FileOutcome } from './check-file.js'
import type { EvidenceBuffers } from './evidence.js'
import type { WorkQueueBuffers } from './work-queue.js'

/**
 * Files are read in pieces of so many bytes: large enough that calls cost little, small enough to stay in the processor's
 * cache; whole pages.
 */
export const BUFFER_BYTES: number = 512 * 1024

/** What the threads that check files run. */
export const checksumThread: URL = new URL('checksum-worker.js', import.meta.url)

/** One of them, before it is known what there is to check. */
export type ChecksumThread = PrestartedThread<StartMessage<StartChecking>, WorkerMessage>

/** What a worker is started with. */
export interface StartChecking {
  readonly directory: string
  readonly table: FileTableBuffers
  readonly queue: WorkQueueBuffers
  /** Uint8 for each row: what the scan says of it by now, see `FileStates`. */
  readonly states: SharedArrayBuffer
  /** `undefined` when nothing but the checksums of the manifest is checked. */
  readonly content: ContentRules | undefined
  readonly replayedWal: SharedArrayBuffer
  /** `undefined`: no limit. */
  readonly rate: SharedRateBuffer | undefined
  /** `undefined` when nobody keeps any; and what is looked at in each file. */
  readonly evidence: { readonly buffers: EvidenceBuffers; readonly checks: number } | undefined
  /** `undefined`: the files are in the directory. */
  readonly objects: StoredObjects | undefined
}

/** Files that are objects of a store. */
export interface StoredObjects {
  readonly address: StoreAddress
  readonly options: StoreOptions
  /** What tells the object that was listed from a later one, by the file's pathname. */
  readonly etags: ReadonlyMap<Pathname, string>
  /** How many of them a thread asks for at a time. */
  readonly lanes: number
  /**
   * What the listing says of checksums that the store keeps, by the file's pathname, where it says anything; `undefined`: every
   * file is to be read.
   */
  readonly listedChecksums: ReadonlyMap<Pathname, string> | undefined
}

/** What a thread found in a file. */
export interface FileFinding {
  readonly outcome: FileOutcome
  /** `undefined` when its content is as it should be, or was not looked at to the end. */
  readonly content: ContentFindings | undefined
}

/** What a worker sends. Of files that are as they should be, nothing is sent. */
export type WorkerMessage =
  /** What was found in the file at a place of the queue. */
  | { readonly type: 'finding'; readonly place: number; readonly finding: FileFinding }
  /** Checksums of an algorithm will be computed by this. */
  | { readonly type: 'engine'; readonly use: EngineUse }
  /** A store is asked again, and why. */
  | { readonly type: 'retry'; readonly words: string }
  /** What nothing can be read without is not to be had: all that there is to be told of it. */
  | { readonly type: 'failure'; readonly message: string; readonly options: { readonly hint?: string } }
  /** The queue is empty and closed. */
  | { readonly type: 'done' }

/** What is known of each row of the table: 0 for a file that the scan of the directory did not meet. */
export type FileStates = Uint8Array

/** `regular`: it is a regular file, and a thread that reads it will say whether it has its size. */
export const fileStates = { intact: 1, faulty: 2, regular: 3 } as const

/** Whether the file is there, is a file, and has its size. */
export function isIntact(states: FileStates, row: number): boolean {
  return states[row] === fileStates.intact
}
