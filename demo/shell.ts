import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { atExit } from '../test/helpers/at-exit.js'

/** A command line as a user types it. */
export type CommandLine = readonly [program: 'pbmanifest', ...args: string[]]

export interface CommandResult {
  readonly status: number | null
  /** stdout and stderr, as a terminal shows them. */
  readonly output: string
}

// The demo is compiled to build/demo, the command line to dist/program.
const commandLineProgram = fileURLToPath(new URL('../../dist/program/main.js', import.meta.url))

/** Writes a line of the story. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Begins a step of the story with a sentence or two. */
export function tell(text: string): void {
  say(`\n# ${text.replaceAll('\n', '\n# ')}`)
}

/** Shows a command with its output, and runs it in `directory`. Any other exit status than `expected` ends the demo. */
export async function runShown(
  directory: string,
  command: CommandLine,
  expected: number = 0,
): Promise<CommandResult> {
  say(`$ ${shellWords(command)}`)
  const result = await run(directory, command)
  process.stdout.write(result.output)
  expectStatus(command, result, expected)
  return result
}

function run(directory: string, [, ...args]: CommandLine): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [commandLineProgram, ...args], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const forget = atExit(() => child.kill('SIGKILL'))
    let output = ''
    const collect = (chunk: Buffer): void => {
      output += chunk.toString()
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.on('error', reject)
    child.on('close', (status) => {
      forget()
      resolve({ status, output })
    })
  })
}

function expectStatus(command: CommandLine, result: CommandResult | undefined, expected: number): void {
  if (result?.status === expected) return
  const got = String(result?.status)
  throw new Error(`"${shellWords(command)}" exited with status ${got} in place of ${String(expected)}`)
}

function shellWords(command: CommandLine): string {
  return command.map((word) => (/^[\w./:=,@%+-]+$/.test(word) ? word : `'${word}'`)).join(' ')
}
