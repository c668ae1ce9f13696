import { expect, test } from 'vitest'
import { Messages } from '../../cli/messages.js'
import { decodePathname } from '../../src/files/pathname.js'

function capture(isTTY: boolean, hasColor = false): { messages: Messages; written: string[] } {
  const written: string[] = []
  return { messages: new Messages({ isTTY, write: (text) => written.push(text) }, hasColor), written }
}

test('each message is one line that begins with the name of the program', () => {
  const { messages, written } = capture(false)
  messages.error('e')
  messages.warning('w')
  messages.detail('d')
  messages.hint('h')
  messages.note('n')
  expect(written.join('')).toBe(
    'pbmanifest: error: e\npbmanifest: warning: w\npbmanifest: detail: d\npbmanifest: hint: h\npbmanifest: n\n',
  )
})

test('what could upset a terminal or a log is written out', () => {
  const { messages, written } = capture(true)
  const hostile = `a\nb\u001b[2J\u202e ${decodePathname(Buffer.from([0xff]))}`
  const shown = String.raw`a\x0ab\x1b[2J\xe2\x80\xae \xff`
  for (const severity of ['error', 'warning', 'detail', 'hint'] as const) messages[severity](hostile)
  messages.note(hostile)
  messages.progress(hostile, true)
  messages.lines(hostile)
  messages.json(JSON.stringify({ name: hostile }))
  expect(written).toEqual([
    ...['error', 'warning', 'detail', 'hint'].map((word) => `pbmanifest: ${word}: ${shown}\n`),
    `pbmanifest: ${shown}\n`,
    `${shown}\n`,
    `${shown.replace('\\x0a', '\n')}\n`,
    `${String.raw`{"name":"a\nb\u001b[2J\u202e \udcff"}`}\n`,
  ])
})

test('colours are those of the programs of PostgreSQL', () => {
  const { messages, written } = capture(true, true)
  messages.error('e')
  messages.warning('w')
  messages.hint('h')
  expect(written).toEqual([
    'pbmanifest: \u001b[01;31merror:\u001b[0m e\n',
    'pbmanifest: \u001b[01;35mwarning:\u001b[0m w\n',
    'pbmanifest: \u001b[01;36mhint:\u001b[0m h\n',
  ])
})

test('on a terminal progress stays on its line and makes room for messages', () => {
  const { messages, written } = capture(true)
  messages.progress('12/20', false)
  messages.progress('15/20', false)
  messages.error('e')
  messages.progress('20/20', true)
  expect(written.join('')).toBe('12/20\r     \r15/20\r     \rpbmanifest: error: e\n20/20\n')
})

test('progress fits the terminal, however wide that is meanwhile', () => {
  const written: string[] = []
  const output = { isTTY: true, columns: 12, write: (text: string) => written.push(text) }
  const messages = new Messages(output, false)
  messages.progress('12345/6789', false, ', 1 MB/s')
  messages.progress('1234567890123', false)
  output.columns = 8
  messages.progress('1234567890123', false)
  output.columns = 40
  messages.progress('1234567890123', false, ', 1 MB/s')
  output.columns = 0
  messages.progress('1234567890123', false, ', 1 MB/s')
  messages.progress('1234567890123', true)
  expect(written).toEqual([
    '12345/6789\r',
    '          \r',
    '12345678901\r',
    '       \r',
    '1234567\r',
    '       \r',
    '1234567890123, 1 MB/s\r',
    ' '.repeat(21) + '\r',
    '1234567890123, 1 MB/s\r',
    ' '.repeat(21) + '\r',
    '1234567890123\n',
  ])
})

test('elsewhere progress is lines', () => {
  const { messages, written } = capture(false)
  messages.progress('12/20', false)
  messages.progress('20/20', true)
  expect(written.join('')).toBe('12/20\n20/20\n')
})
