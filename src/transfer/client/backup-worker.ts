import { parentPort, workerData } from 'node:worker_threads'
import { runWorker } from './run-worker.js'
import { loadSessions } from './sessions/open-sessions.js'
import type { SessionServer } from './sessions/sessions.js'

/** A thread that copies files. The logic is in `run-worker.ts`. */
await loadSessions(workerData as SessionServer['kind'])
if (parentPort !== null) await runWorker(parentPort)
