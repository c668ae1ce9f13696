import { mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { mainFile } from '../cli/pbmanifest.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory } from '../helpers/scratch-directory.js'

/** Takes the lock so many times, and makes a file each time that must not be there. */
const code = `import { closeSync, openSync, unlinkSync } from 'node:fs'
const [module, directory, alone, times] = process.argv.slice(1)
const { RunLock } = await import(module)
for (let taken = 0; taken < Number(times); ) {
  let lock
  try {
    lock = RunLock.take(directory, 'this test')
  } catch (error) {
    if (!/ is using the state of this test$/.test(error.message)) throw error
    continue
  }
  closeSync(openSync(alone, 'wx'))
  lock.requireHeld()
  unlinkSync(alone)
  lock.release()
  taken++
}
`

test(
  'of several processes that take it again and again, each has it alone',
  { timeout: 240_000 },
  async () => {
    const scratch = createScratchDirectory()
    const directory = join(scratch.path, 'locked')
    mkdirSync(directory)
    const module = new URL('../src/state/run-lock.js', `file://${dirname(mainFile)}/`).href
    const args = ['--input-type=module', '-e', code, module, directory, join(scratch.path, 'alone'), '200']
    await Promise.all([1, 2, 3].map(async () => await mustRun(process.execPath, args)))
    expect(readdirSync(directory)).toEqual([])
    scratch.remove()
  },
)
