import { closeSync, openSync } from 'node:fs'
import { ReadStream, WriteStream } from 'node:tty'
import { PbManifestError } from '../../../src/errors.js'
import { displayText } from '../../../src/files/display-text.js'
import { describeSystemError } from '../../../src/files/system-error.js'

/**
 * Asks for a password on the terminal, which does not show it.
 *
 * @returns `undefined` when there is no terminal to ask on
 * @throws {@link PbManifestError} `ABORTED` at Ctrl-C, or when the signal fires; `IO` when the terminal goes away
 */
export async function askPassword(prompt: string, signal: AbortSignal): Promise<string | undefined> {
  const descriptor = openTerminal()
  if (descriptor === undefined) return undefined
  // Each closes what it has, so each has a descriptor of its own.
  const input = new ReadStream(descriptor)
  const output = new WriteStream(openSync('/dev/tty', 'w'))
  // A terminal that is gone shows nothing; reading from it says so.
  output.on('error', () => {})
  try {
    input.setRawMode(true)
    output.write(displayText(prompt))
    return await readLine(input, signal)
  } finally {
    restoreMode(input)
    output.write('\n')
    input.destroy()
    output.end()
  }
}

function openTerminal(): number | undefined {
  try {
    const descriptor = openSync('/dev/tty', 'r')
    if (process.stderr.isTTY) return descriptor
    closeSync(descriptor)
  } catch {
    // There is none: a cron job, a container.
  }
  return undefined
}

function restoreMode(input: ReadStream): void {
  try {
    input.setRawMode(false)
  } catch {
    // The terminal is gone, and its mode with it.
  }
}

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const erasing: ReadonlySet<string> = new Set(['\b', '\u007f'])
const ending: ReadonlySet<string> = new Set(['\r', '\n', CTRL_D])

/** A raw terminal hands over every key: the editing is ours. */
function readLine(input: ReadStream, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed: readonly string[] = []
    const abort = (): void =>
      reject(new PbManifestError('ABORTED', 'aborted at the password prompt', { cause: signal.reason }))
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    input.setEncoding('utf8')
    input.on('error', (error) => {
      const reason = describeSystemError(error)?.message ?? error.message
      reject(new PbManifestError('IO', `could not read from the terminal: ${reason}`, { cause: error }))
    })
    input.on('end', () => resolve(typed.join('')))
    input.on('data', (text: string) => {
      for (const key of text) {
        if (ending.has(key)) return resolve(typed.join(''))
        if (key === CTRL_C) return abort()
        typed = erasing.has(key) ? typed.slice(0, -1) : [...typed, key]
      }
    })
  })
}
