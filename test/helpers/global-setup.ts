import { createScratchDirectory } from './scratch-directory.js'
import { sharedDirectoryVariable } from './shared-fixture.js'

/** vitest's `globalSetup`: a directory where test processes share what is dear to make. Fixtures are made when asked for. */
export function setup(): () => void {
  const scratch = createScratchDirectory()
  process.env[sharedDirectoryVariable] = scratch.path
  return () => scratch.remove()
}
