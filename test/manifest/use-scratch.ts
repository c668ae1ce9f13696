import { afterEach, beforeEach } from 'vitest'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

/** Gives each test of the file an empty directory. */
export function useScratch(): { readonly path: string } {
  let scratch: ScratchDirectory | undefined
  beforeEach(() => {
    scratch = createScratchDirectory()
  })
  afterEach(() => scratch?.remove())
  return {
    get path() {
      if (scratch === undefined) throw new Error('there is a scratch directory during a test only')
      return scratch.path
    },
  }
}
