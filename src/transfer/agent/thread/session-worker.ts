import { parentPort, workerData } from 'node:worker_threads'
import { SessionRunner } from './session-runner.js'
import type { StartSession } from './session-messages.js'

/** A thread in which the session of one connection runs. The logic is in `session-runner.ts`. */
if (parentPort !== null) new SessionRunner(workerData as StartSession, parentPort).start()
