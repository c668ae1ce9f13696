import { afterAll } from 'vitest'
import { runCleanUps } from './at-exit.js'

// vitest's `setupFiles`. When a test file is done, vitest gives its process half a second to end, and then kills it: too
// little to stop a server and remove its directory. This runs before, after all `afterAll` of the file.
afterAll(runCleanUps)
