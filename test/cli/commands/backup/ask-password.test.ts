import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runProgram } from '../../../helpers/run-program.js'
import { hasTerminals, startOnTerminal } from '../../../helpers/terminal.js'

const module = fileURLToPath(new URL('../../../../dist/cli/commands/backup/ask-password.js', import.meta.url))

const program = `
  import { askPassword } from ${JSON.stringify(module)}
  const stop = new AbortController()
  process.on('SIGTERM', () => stop.abort())
  const answer = await askPassword('Password: ', stop.signal).catch(({ code }) => ({ code }))
  process.stdout.write('answer ' + JSON.stringify(answer ?? null) + '\\n')
`

const hasTerminal = await hasTerminals()

/** Types on a pseudo-terminal when the prompt is there; returns all that the terminal showed. */
function typeOnTerminal(
  keys: string,
  program: string,
  afterwards: (shown: string) => void = () => {},
): Promise<string> {
  const command = `"${process.execPath}" --input-type=module -e "$PROGRAM"`
  const child = startOnTerminal(command, { ...process.env, PROGRAM: program })
  let shown = ''
  let hasTyped = false
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString()
    if (hasTyped || !shown.includes('Password: ')) return
    hasTyped = true
    child.stdin.write(keys)
    afterwards(shown)
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', () => resolve(shown))
  })
}

test.runIf(hasTerminal).each([
  ['se cret\r', '"se cret"'],
  ['pässword\n', '"pässword"'],
  ['wrong\u007f\u007f\u007f\u007f\u007fright\r', '"right"'],
  ['\u007f\r', '""'],
  ['half\u0003', '{"code":"ABORTED"}'],
])('a terminal where %j is typed', async (keys, answer) => {
  const shown = await typeOnTerminal(keys, program)
  expect(shown).toBe(`Password: \r\nanswer ${answer}\r\n`)
})

test.runIf(hasTerminal)('a signal ends the waiting', async () => {
  const shown = await typeOnTerminal(
    'ha',
    `process.stdout.write(process.pid + '\\n')\n${program}`,
    (before) => process.kill(Number.parseInt(before, 10), 'SIGTERM'),
  )
  // Keys that come after the signal are shown, as ever, before what the program says or after it.
  expect(shown).toMatch(/^[0-9]+\r\nPassword: \r\n(?:ha)?answer \{"code":"ABORTED"\}\r\n(?:ha)?$/)
})

test('without a terminal nobody is asked', async () => {
  const { stdout } = await runProgram('setsid', [
    '-w',
    process.execPath,
    '--input-type=module',
    '-e',
    program,
  ])
  expect(stdout).toBe('answer null\n')
})
