import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe } from 'vitest'

/** Whether a program is on the PATH. */
function hasProgram(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** `describe` for tests that all need a program. Without it they are skipped, loudly; under `CI` the file fails. */
export function describeWithProgram(
  program: string,
  debianPackage: string,
  name: string,
  tests: () => void,
): void {
  const isThere = hasProgram(program)
  const reason = `${program} is not installed (Debian: apt-get install ${debianPackage})`
  if (!isThere && process.env['CI']) throw new Error(`cannot test "${name}": ${reason}`)
  if (!isThere) process.stderr.write(`\nSKIPPED "${name}": ${reason}\n\n`)
  const suite = isThere ? describe : describe.skip
  suite(name, tests)
}
