import { describe, expect, test } from 'vitest'
import { parseCommandLine } from '../../cli/parse-command-line.js'

describe('parseCommandLine', () => {
  test('keeps values and operands as text', async () => {
    const args = [
      'verify',
      '-i',
      '1260',
      '-i',
      '-x',
      '-i',
      '0x10',
      '-m',
      '1e3',
      '-m',
      '007',
      '--',
      '-1',
      '12',
      '--help',
    ]
    expect(await parseCommandLine(args)).toMatchObject({
      kind: 'run',
      command: { name: 'verify' },
      options: { ignore: ['1260', '-x', '0x10'], 'manifest-path': '007', output: 'text' },
      operands: ['-1', '12', '--help'],
      debug: false,
    })
  })

  test('gives a command its own options and no others', async () => {
    const request = await parseCommandLine(['merge', '-o', 'OUT', '--debug', '--color=never', 'FRAGMENT'])
    expect(request).toMatchObject({ options: { output: 'OUT' }, color: 'never', debug: true })
    expect(request.kind === 'run' && Object.keys(request.options)).toEqual(['output'])
  })

  test('does not know the options of another command', async () => {
    await expect(parseCommandLine(['merge', '--exit-on-error'])).rejects.toMatchObject({ code: 'USAGE' })
  })

  test.each([
    [['--help'], 'Usage: pbmanifest COMMAND'],
    [['-?'], 'Usage: pbmanifest COMMAND'],
    [['verify', '--help'], 'Usage: pbmanifest verify [OPTION]... DIRECTORY'],
    [['verify', 'DIRECTORY', '-?'], 'Usage: pbmanifest verify [OPTION]... DIRECTORY'],
    [['merge', '-?'], 'Usage: pbmanifest merge [OPTION]... FRAGMENT...'],
    [['fragment', '-?'], 'Usage: pbmanifest fragment [OPTION]... DIRECTORY'],
    [['backup-id', '-?'], 'Usage: pbmanifest backup-id\n'],
    [['verify', '-V'], 'pbmanifest 0.'],
    [['verify', '--vers'], 'pbmanifest 0.'],
    [['--hel'], 'Usage: pbmanifest COMMAND'],
  ])('%j is answered with text', async (args, beginning) => {
    const request = await parseCommandLine(args)
    expect(request).toEqual({ kind: 'print', text: expect.stringContaining(beginning) })
  })
})
