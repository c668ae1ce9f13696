import './servers-only.js'
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { runProgram } from './run-program.js'

/** Whether programs can be given a pseudo-terminal here; says loudly when not. */
export async function hasTerminals(): Promise<boolean> {
  const isThere = (await runProgram('script', ['--version']).catch(() => undefined))?.status === 0
  if (!isThere) {
    process.stderr.write('\nSKIPPED what needs a terminal: no program "script" (Debian: util-linux)\n\n')
  }
  return isThere
}

/**
 * Runs a command of the shell on a pseudo-terminal. What its screen shows is on stdout, what is typed goes to stdin; the
 * terminal closes when the child is killed.
 */
export function startOnTerminal(
  command: string,
  env: Readonly<NodeJS.ProcessEnv>,
): ChildProcessWithoutNullStreams {
  return spawn('script', ['-qec', command, '/dev/null'], { env })
}
