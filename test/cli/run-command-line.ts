import { Readable } from 'node:stream'
import type { run as runSource } from '../../cli/run.js'
import { plainEnvironment, type ProgramResult } from '../helpers/run-program.js'
import { builtFile, environment } from './built-files.js'

// What is built, because threads are.
const { run } = (await import(builtFile('dist/cli/run.js'))) as { readonly run: typeof runSource }

/**
 * Does in this process what `pbmanifest` does with these arguments, and says what it would say. That takes a third of the
 * time of the program; but what belongs to a process (signals, its end, readers that go away) only the program has.
 */
export async function runCommandLine(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ProgramResult> {
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  const status = await run({
    args,
    env: { ...plainEnvironment(), ...environment, ...env },
    stdin: Readable.from([]),
    stdout: { write: (bytes) => stdout.push(Buffer.from(bytes)) },
    stderr: { write: (text) => stderr.push(Buffer.from(text)) },
    signals: { stop: new AbortController().signal, onHangup: () => {}, onSecondStop: () => {} },
  })
  return { status, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }
}
