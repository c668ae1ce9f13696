import { expect, test } from 'vitest'
import { Messages } from '../../../../cli/messages.js'
import { createEventLog } from '../../../../cli/commands/serve/serve-log.js'

function startLog(): { readonly log: ReturnType<typeof createEventLog>; readonly lines: string[] } {
  const lines: string[] = []
  const messages = new Messages({ write: (text) => lines.push(text) }, false)
  return { log: createEventLog('info', { write: (line) => messages.json(line.trimEnd()) }), lines }
}

test('what clients call themselves is in the log as JSON that no terminal obeys', () => {
  const { log, lines } = startLog()
  const user = 'joe\u001b]0;x\u0007\u009b2J\u202e\u2028\u007f"\n'
  log({ type: 'authentication-failed', connection: 1, remote: '[local]', user })
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(/^[ -~]*\n$/)
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'warn', event: 'authentication-failed', user })
})

test('a value that is too long is shortened', () => {
  const { log, lines } = startLog()
  const message = '🐘'.repeat(5000)
  log({ type: 'file-refused', connection: 1, message })
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    connection: 1,
    message: `${'🐘'.repeat(4096)}... (5000 characters)`,
  })
})
