import '../helpers/servers-only.js'
import { type ProgramResult, runProgram } from '../helpers/run-program.js'
import { builtFile, environment } from './built-files.js'

/** The built program. */
export const mainFile: string = builtFile('dist/program/main.js')

/** Runs `pbmanifest` as a user would. */
export async function pbmanifest(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ProgramResult> {
  return await runProgram(process.execPath, [mainFile, ...args], { env: { ...environment, ...env } })
}

/**
 * Runs a line of shell in which `pbmanifest` is a command and `$1`, `$2` ... are the arguments. `until_nobody_reads` writes
 * to standard output until that is a pipe without a reader.
 */
export async function shell(line: string, ...args: readonly string[]): Promise<ProgramResult> {
  const script = `pbmanifest() { "$NODE" "$MAIN" "$@"; }
    until_nobody_reads() { trap '' PIPE; while echo; do :; done 2>/dev/null; }
    ${line}`
  const env = { ...environment, NODE: process.execPath, MAIN: mainFile }
  return await runProgram('bash', ['-c', script, 'bash', ...args], { env })
}
