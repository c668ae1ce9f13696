import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { hasErrorCode } from './error-code.js'
import { poll } from './poll.js'
import { createScratchDirectory, type ScratchDirectory } from './scratch-directory.js'

/** The environment variable by which `global-setup.ts` tells all test processes one common directory. */
export const sharedDirectoryVariable = 'PBMANIFEST_TEST_SHARED'

let own: ScratchDirectory | undefined

/**
 * Makes a fixture once for all processes of a test run: the first that asks makes it, the others wait.
 *
 * Without the common directory of `global-setup.ts`, once for this process.
 *
 * @param make - Fills the directory that it gets.
 * @returns The directory. Nobody may change it.
 */
export async function sharedFixture(
  name: string,
  make: (directory: string) => Promise<void>,
): Promise<string> {
  const directory = join(sharedDirectory(), name)
  const done = `${directory}.done`
  if (claim(`${directory}.lock`)) {
    const outcome = await mkdir(directory)
      .then(() => make(directory))
      .then(
        () => '',
        (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error)),
      )
    writeFileSync(`${done}.tmp`, outcome)
    renameSync(`${done}.tmp`, done)
  } else {
    await poll(`fixture "${name}"`, () => Promise.resolve(existsSync(done)), { timeout: 240_000 })
  }
  const failure = readFileSync(done, 'utf8')
  if (failure !== '') throw new Error(`fixture "${name}" could not be made\n${failure}`)
  return directory
}

function sharedDirectory(): string {
  const common = process.env[sharedDirectoryVariable]
  if (common !== undefined) return common
  own ??= createScratchDirectory()
  return own.path
}

function claim(lock: string): boolean {
  try {
    mkdirSync(lock)
    return true
  } catch (error) {
    if (hasErrorCode(error, 'EEXIST')) return false
    throw error
  }
}
