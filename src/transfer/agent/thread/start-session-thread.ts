import { SHARE_ENV, Worker } from 'node:worker_threads'
import { PbManifestError } from '../../../errors.js'
import { allocatePieces, piecesOf } from './piece-memory.js'
import type { StartSession } from './session-messages.js'

const workerFile = new URL('session-worker.js', import.meta.url)

/** A thread for a session, which waits for its commands. */
export interface StartedThread {
  readonly worker: Worker
  /** The memory that it sends streams in. */
  readonly pieces: readonly Buffer[]
}

/** @throws {@link PbManifestError} `IO` when the system grants no more threads */
export function startSessionThread(start: Omit<StartSession, 'pieces'>): StartedThread {
  const pieces = allocatePieces()
  const workerData: StartSession = { ...start, pieces }
  try {
    // The options of the process are for its own program: `--input-type` would keep a thread from starting.
    const worker = new Worker(workerFile, { workerData, env: SHARE_ENV, execArgv: [] })
    return { worker, pieces: piecesOf(pieces) }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new PbManifestError('IO', `could not start a thread for the session: ${reason}`, { cause })
  }
}
