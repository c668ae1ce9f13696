import { parentPort, workerData } from 'node:worker_threads'
import { SessionRunner } from './session-runner.js'
import type { StartSession } from './session-messages.js'

/** A thread in which the session of one connection runs. The logic is in `session-runner.ts`. */
const start = workerData as StartSession
if (parentPort !== null) new SessionRunner(start, parentPort).start()
// A leader's session loads it when it is needed, which costs time only then.
if (start.isSpare) void import('../../session/build-manifest.js')
