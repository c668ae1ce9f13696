import { SupervisedThread } from '../../../threads/supervised-thread.js'
import { allocatePieces, piecesOf } from './piece-memory.js'
import type { MessageFromSession, MessageToSession, StartSession } from './session-messages.js'

const workerFile = new URL('session-worker.js', import.meta.url)

/** A thread for a session, which waits for its commands. */
export interface StartedThread {
  readonly worker: SupervisedThread<MessageToSession, MessageFromSession>
  /** The memory that it sends streams in. */
  readonly pieces: readonly Buffer[]
}

/** @throws {@link PbManifestError} `IO` when the system grants no more threads */
export function startSessionThread(start: Omit<StartSession, 'pieces'>): StartedThread {
  const pieces = allocatePieces()
  const workerData: StartSession = { ...start, pieces }
  const worker = new SupervisedThread<MessageToSession, MessageFromSession>(workerFile, {
    workerData,
    name: 'the thread of the session',
  })
  return { worker, pieces: piecesOf(pieces) }
}
