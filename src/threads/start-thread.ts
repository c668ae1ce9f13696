import { SHARE_ENV, Worker } from 'node:worker_threads'
import { PbManifestError } from '../errors.js'

/**
 * Starts a thread that waits for its `StartMessage`.
 *
 * @param workerData - what it is to know before
 * @throws {@link PbManifestError} `IO` when the system does not grant it
 */
export function startThread(file: URL, workerData?: unknown): Worker {
  try {
    return new Worker(file, {
      workerData,
      env: SHARE_ENV,
      // The options of the process are for its own program: `--input-type` would keep a thread from starting.
      execArgv: [],
    })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new PbManifestError('IO', `could not start a worker thread: ${reason}`, { cause })
  }
}
