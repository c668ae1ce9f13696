import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runProgram } from '../helpers/run-program.js'

const module = fileURLToPath(new URL('../../dist/cli/ask-password.js', import.meta.url))

const program = `
  import { askPassword } from ${JSON.stringify(module)}
  const answer = await askPassword().catch((error) => ({ code: error.code }))
  process.stdout.write('answer ' + JSON.stringify(answer ?? null) + '\\n')
`

const hasScript = (await runProgram('script', ['--version']).catch(() => undefined))?.status === 0
if (!hasScript) process.stderr.write('\nSKIPPED prompts for passwords: no program "script" (util-linux)\n\n')

/** Types on a pseudo-terminal when the prompt is there; returns all that the terminal showed. */
function typeOnTerminal(keys: string): Promise<string> {
  const command = `"${process.execPath}" --input-type=module -e "$PROGRAM"`
  const child = spawn('script', ['-qec', command, '/dev/null'], { env: { ...process.env, PROGRAM: program } })
  let shown = ''
  let hasTyped = false
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString()
    if (hasTyped || !shown.includes('Password: ')) return
    hasTyped = true
    child.stdin.write(keys)
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', () => resolve(shown))
  })
}

test.runIf(hasScript).each([
  ['se cret\r', '"se cret"'],
  ['pässword\n', '"pässword"'],
  ['wrong\u007f\u007f\u007f\u007f\u007fright\r', '"right"'],
  ['\u007f\r', '""'],
  ['half\u0003', '{"code":"ABORTED"}'],
])('a terminal where %j is typed', async (keys, answer) => {
  const shown = await typeOnTerminal(keys)
  expect(shown).toBe(`Password: \r\nanswer ${answer}\r\n`)
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
