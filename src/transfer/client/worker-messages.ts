import type { SafePathname } from '../../files/safe-pathname.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import type { StartMessage } from '../../threads/supervised-thread.js'
import type { FilePlace } from '../../target/backup-target.js'
import type { SessionNotice } from '../session/backup-session.js'
import type { ReceivedFile, WantedFile } from './file-receiver.js'
import type { JoinableBackup, SessionSource } from './source/source.js'
import type { WorkerCountersBuffer } from './worker-counters.js'
import { type ErrorCode, isPbManifestError, PbManifestError } from '../../errors.js'
import { explainShortage } from '../../files/system-error.js'

/** What a worker is started with. Plain data and shared memory. */
export interface StartWorker {
  readonly server: SessionSource
  readonly fragmentDirectory: string
  /** Where its files go. */
  readonly files: FilePlace
  readonly verifyPageChecksums: boolean
  /** By which what arrives is compared with what was sent; `undefined` when it is computed here. */
  readonly checksumAlgorithm: RealChecksumAlgorithm | undefined
  /** How often in a row a lost connection is made again. */
  readonly retries: number
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
  /** There is no more to copy: seal the fragment, and let go of the connection, which could be lost while others are waited for. */
  | { readonly type: 'leave-backup' }
  /** Make what was written durable, and end. */
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
  | { readonly type: 'left' }
  /** All is durable that is to be. */
  | { readonly type: 'finished' }
  /** It cannot go on, and has removed its fragment. */
  | { readonly type: 'failed'; readonly error: ErrorData }

/** An error as plain data, which crosses threads: of an `Error`, class, `code` and `details` would be lost on the way. */
export interface ErrorData {
  /** `undefined` for an exception that nobody meant: a bug of ours. */
  readonly code: ErrorCode | undefined
  readonly message: string
  readonly details: readonly string[]
  readonly hint: string | undefined
  readonly stack: string | undefined
}

/** Takes apart whatever was thrown. */
export function toErrorData(thrown: unknown): ErrorData {
  const error = explainShortage(thrown)
  const stack = error instanceof Error ? error.stack : undefined
  if (isPbManifestError(error)) {
    return { code: error.code, message: error.message, details: error.details, hint: error.hint, stack }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { code: undefined, message, details: [], hint: undefined, stack }
}

/** Puts the error together again; the other thread's stack becomes its cause. */
export function fromErrorData({ code, message, details, hint, stack }: ErrorData): Error {
  if (code === undefined) return new Error(`in a worker thread: ${message}`, { cause: stack })
  return new PbManifestError(code, message, { details, ...(hint !== undefined && { hint }), cause: stack })
}
