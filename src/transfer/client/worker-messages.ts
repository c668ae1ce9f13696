import type { SafePathname } from '../../files/safe-pathname.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import type { StartMessage } from '../../threads/thread-start.js'
import type { SessionNotice } from '../session/backup-session.js'
import type { ErrorData } from './error-data.js'
import type { ReceivedFile, WantedFile } from './file-receiver.js'
import type { JoinableBackup, BackupSource } from './source/source.js'
import type { WorkerCountersBuffer } from './worker-counters.js'

/** What a worker is started with. Plain data and shared memory. */
export interface StartWorker {
  readonly server: BackupSource
  readonly directory: string
  readonly verifyPageChecksums: boolean
  /** By which what arrives is compared with what was sent; `undefined` when it is computed here. */
  readonly checksumAlgorithm: RealChecksumAlgorithm | undefined
  readonly sync: boolean
  /** Counted from 0; its place among the counters. */
  readonly worker: number
  readonly counters: WorkerCountersBuffer
}

/** What the leader sends to a worker. */
export type MessageToWorker =
  | StartMessage<StartWorker>
  /** The backup has started: take part. The first after `start`. */
  | { readonly type: 'join'; readonly backup: JoinableBackup }
  /** Copy these files, after those that were sent before. */
  | { readonly type: 'copy'; readonly files: readonly WantedFile[] }
  /** There is no more: make what was written durable, seal the fragment, and end. */
  | { readonly type: 'finish' }
  /** Something failed, here or elsewhere: end as soon as possible. */
  | { readonly type: 'stop' }

/** What a worker sends to the leader. */
export type MessageFromWorker =
  /** It is connected. `pid`: the database server's process behind it, where that is known. */
  | { readonly type: 'ready'; readonly pid: number | undefined }
  /** It is part of the backup. */
  | { readonly type: 'joined' }
  /** The files of one `copy` are here. */
  | {
      readonly type: 'copied'
      readonly files: readonly ReceivedFile[]
      readonly vanished: readonly SafePathname[]
    }
  | { readonly type: 'notice'; readonly notice: SessionNotice }
  /** Its fragment is sealed. */
  | { readonly type: 'finished' }
  /** It cannot go on, and has removed its fragment. */
  | { readonly type: 'failed'; readonly error: ErrorData }
