import './servers-only.js'
import { spawnSync } from 'node:child_process'

const known = new Map<string, boolean>()

/**
 * Whether the program of a compressed format is here. What needs it is left out, loudly, where it is not; under `CI` that is
 * an error.
 */
export function hasCompressor(program: string): boolean {
  const found = known.get(program) ?? look(program)
  known.set(program, found)
  return found
}

function look(program: string): boolean {
  if (spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined) return true
  const reason = `the program ${program} is not installed (Debian: apt-get install ${program})`
  if (process.env['CI']) throw new Error(reason)
  process.stderr.write(`\nSKIPPED what is compressed by it: ${reason}\n\n`)
  return false
}
