import { closeSync, openSync } from 'node:fs'
import { ReadStream, WriteStream } from 'node:tty'
import { PbManifestError } from '../src/errors.js'

/**
 * Asks for a password on the terminal, which does not show it.
 *
 * @returns `undefined` when there is no terminal to ask on
 * @throws {@link PbManifestError} `ABORTED` at Ctrl-C
 */
export async function askPassword(prompt = 'Password: '): Promise<string | undefined> {
  const descriptor = openTerminal()
  if (descriptor === undefined) return undefined
  // Each closes what it has, so each has a descriptor of its own.
  const input = new ReadStream(descriptor)
  const output = new WriteStream(openSync('/dev/tty', 'w'))
  try {
    input.setRawMode(true)
    output.write(prompt)
    return await readLine(input)
  } finally {
    input.setRawMode(false)
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

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const erasing: ReadonlySet<string> = new Set(['\b', '\u007f'])
const ending: ReadonlySet<string> = new Set(['\r', '\n', CTRL_D])

/** A raw terminal hands over every key: the editing is ours. */
function readLine(input: ReadStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed: readonly string[] = []
    input.setEncoding('utf8')
    input.on('error', reject)
    input.on('end', () => resolve(typed.join('')))
    input.on('data', (text: string) => {
      for (const key of text) {
        if (ending.has(key)) return resolve(typed.join(''))
        if (key === CTRL_C) return reject(new PbManifestError('ABORTED', 'aborted at the password prompt'))
        typed = erasing.has(key) ? typed.slice(0, -1) : [...typed, key]
      }
    })
  })
}
