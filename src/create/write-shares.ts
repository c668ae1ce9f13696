import { join } from 'node:path'
import { type ErrorCode, isPbManifestError } from '../errors.js'
import { Yielder } from '../files/yielder.js'
import type { ChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { fragmentFileName } from '../manifest/fragment/backup-id.js'
import { writeFragmentOf } from '../manifest/fragment/write-fragment.js'
import { Claims } from '../threads/claims.js'
import { filesOfShare, type PlannedShares } from './planned-files.js'

/** How often a thread looks whether it is still wanted, in milliseconds. */
const LOOK_MS = 50

/** What a thread that writes fragments is sent. */
export interface StartWriting {
  /** The data directory. */
  readonly directory: string
  /** Where the fragments go. */
  readonly fragmentDirectory: string
  readonly backupId: string
  readonly checksumAlgorithm: ChecksumAlgorithm
  readonly shares: PlannedShares
  /** Of shares. */
  readonly claims: SharedArrayBuffer
  /** A BigInt64: bytes that were read. */
  readonly bytesDone: SharedArrayBuffer
}

/** What a thread sends: each fragment that is there, or why one is not. */
export type WritingMessage = { readonly type: 'written'; readonly files: number } | WritingFailure

/** Why a fragment is not there. */
export interface WritingFailure {
  readonly type: 'failed'
  readonly code: ErrorCode
  readonly message: string
  /** One for each file. */
  readonly details: readonly string[]
  readonly hint?: string
}

/** Writes the fragments of shares until there are no more. Runs in any thread. */
export async function writeShares(
  start: StartWriting,
  post: (message: WritingMessage) => void,
): Promise<void> {
  const claims = new Claims(start.claims)
  const controller = new AbortController()
  const timer = setInterval(() => {
    if (claims.isAbandoned) controller.abort()
  }, LOOK_MS)
  try {
    const yielder = new Yielder(controller.signal)
    for (let share = claims.claim(); share < start.shares.starts.length - 1; share = claims.claim()) {
      post(await writeShare(start, share, yielder))
    }
  } finally {
    clearInterval(timer)
  }
}

async function writeShare(start: StartWriting, worker: number, yielder: Yielder): Promise<WritingMessage> {
  const { directory, backupId, checksumAlgorithm } = start
  const bytesDone = new BigInt64Array(start.bytesDone)
  const output = join(start.fragmentDirectory, fragmentFileName(backupId, worker))
  const options = { directory, output, backupId, worker, checksumAlgorithm }
  try {
    const files = filesOfShare(start.shares, worker)
    const written = await writeFragmentOf(files, options, yielder, (bytes) => {
      Atomics.add(bytesDone, 0, BigInt(bytes))
    })
    return { type: 'written', files: written.files }
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    const { code, message, details, hint } = error
    return { type: 'failed', code, message, details, ...(hint !== undefined && { hint }) }
  }
}
