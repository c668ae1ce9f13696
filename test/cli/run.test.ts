import { describe, expect, test } from 'vitest'
import { runCommandLine } from './run-command-line.js'

const value = (option: string, text: string): string => `invalid value "${text}" for option ${option}`
const fragment = ['fragment', 'DIR', '-o', 'OUT', '--backup-id', '0'.repeat(32), '--worker']

describe('a command line that makes no sense', () => {
  test.each([
    [[], 'no command specified'],
    [['--debug', 'verify'], 'no command specified'],
    [['frobnicate'], 'unrecognized command "frobnicate"'],
    [['-x'], "invalid option -- 'x'"],
    [['verify'], 'no backup directory specified'],
    [['verify', ''], 'empty command-line argument'],
    [['show', 'a', 'b', 'c'], 'too many command-line arguments (first is "b")'],
    [['verify', '-P', '-q', 'a'], 'cannot specify both -P/--progress and -q/--quiet'],
    [['verify', '-qP', 'a'], 'cannot specify both -P/--progress and -q/--quiet'],
    [['verify', '-qv', 'a'], 'cannot specify both -v/--verbose and -q/--quiet'],
    [['verify', '-'], '-m/--manifest-path is needed for an archive on standard input'],
    [['verify', '-F', 'plain', '-m', 'm', '-'], 'a backup in plain format cannot come from standard input'],
    [['verify', '--archive=1', 'a'], '--archive is for an archive on standard input'],
    [['verify', '-F', 'zip', 'a'], 'invalid backup format "zip", must be "plain" or "tar"'],
    [['verify', '-j', '0', 'a'], value('-j/--jobs', '0')],
    [['verify', '-j', '-1', 'a'], value('-j/--jobs', '-1')],
    [['verify', '-j', '1.5', 'a'], value('-j/--jobs', '1.5')],
    [['verify', '-j', '1e3', 'a'], value('-j/--jobs', '1e3')],
    [['verify', '-j', '99999999999999999999', 'a'], value('-j/--jobs', '99999999999999999999')],
    [['verify', '--output=xml', 'a'], value('--output', 'xml')],
    [['verify', '-m'], "option requires an argument -- 'm'"],
    [['merge'], 'no fragments specified'],
    [['merge', 'a'], 'no output file specified'],
    [['merge', '-o', 'x', '--workers', '0', 'a'], value('--workers', '0')],
    [['merge', '-o', 'x', '--manifest-version', '3', 'a'], value('--manifest-version', '3')],
    [['merge', '-o', 'x', '--system-identifier', '7e18', 'a'], value('--system-identifier', '7e18')],
    [['merge', '-o', 'x', '--system-identifier', '-1', 'a'], value('--system-identifier', '-1')],
    [['merge', '-o', 'x', '--wal-range', '1,0/1', 'a'], value('--wal-range', '1,0/1')],
    [
      ['merge', '-o', 'x', '--wal-range=1,0/1,0/2', '--end-lsn=0/2', 'a'],
      'cannot specify both --wal-range and --end-lsn',
    ],
    [['merge', '-o', 'x', '--start-lsn', '12', 'a'], value('--start-lsn', '12')],
    [['merge', '-o', 'x', '--end-lsn', '0/xyz', 'a'], value('--end-lsn', '0/xyz')],
    [['merge', '-o', 'x', '--start-timeline', '0', 'a'], value('--start-timeline', '0')],
    [['merge', '-o', 'x', '--end-timeline', '4294967296', 'a'], value('--end-timeline', '4294967296')],
    [['fragment'], 'no data directory specified'],
    [['fragment', 'a', 'b'], 'too many command-line arguments (first is "b")'],
    [['fragment', 'a'], 'no worker number specified'],
    [['fragment', 'a', '--worker=0'], 'no backup id specified'],
    [['fragment', 'a', '--worker=0', '--backup-id=ID'], 'no output file specified'],
    [['fragment', 'a', '--worker=0', '--backup-id=ID', '-o', 'x'], value('--backup-id', 'ID')],
    [[...fragment, 'x'], value('--worker', 'x')],
    [[...fragment, '1'], 'must specify one of --workers and --files-from'],
    [[...fragment, '2', '--workers', '2'], value('--worker', '2')],
    [[...fragment, '0', '--workers', '0'], value('--workers', '0')],
    [[...fragment, '0', '--workers=1', '--files-from=-'], 'cannot specify both --workers and --files-from'],
    [[...fragment, '0', '--checksum-algorithm=md5'], value('--checksum-algorithm', 'md5')],
    [['help', 'merge', 'x'], 'too many command-line arguments (first is "x")'],
    [['verify', '--pa'], "option '--pa' is ambiguous; possibilities: '--partial-wal' '--page-checksums'"],
    [['backup-id', 'x'], 'too many command-line arguments (first is "x")'],
  ])('%j: %s', async (args, message) => {
    const { status, stdout, stderr } = await runCommandLine(args)
    const command = /^[a-z]/.test(args[0] ?? '') && args[0] !== 'frobnicate' ? `${args[0]} ` : ''
    expect(status).toBe(2)
    expect(stdout).toBe('')
    expect(stderr.split('\n')[0]).toBe(`pbmanifest: error: ${message}`)
    expect(stderr).toContain(`pbmanifest: hint: Try "pbmanifest ${command}--help" for more information.\n`)
  })

  test.each([
    [['vrefy', 'a'], 'unrecognized command "vrefy"', 'the command "verify"', ''],
    [['basebackup', '-D', 'a'], 'unrecognized command "basebackup"', 'the command "backup"', ''],
    [['pg_verifybackup', 'a'], 'unrecognized command "pg_verifybackup"', 'the command "verify"', ''],
    [['help', 'backup-di'], 'unrecognized command "backup-di"', 'the command "backup-id"', 'help '],
    [['verify', '--jbos=3'], "unrecognized option '--jbos'", 'the option "--jobs"', 'verify '],
    [['--hlep'], "unrecognized option '--hlep'", 'the option "--help"', ''],
  ])('%j: %s, with a word of what was probably meant', async (args, message, meant, command) => {
    expect(await runCommandLine(args)).toEqual({
      status: 2,
      stdout: '',
      stderr: `pbmanifest: error: ${message}
pbmanifest: hint: Perhaps you meant ${meant}. Try "pbmanifest ${command}--help" for more information.
`,
    })
  })

  test('with --output=json is also told as JSON', async () => {
    const { status, stdout, stderr } = await runCommandLine(['verify', '--output=json', '--foo', 'a'])
    expect(status).toBe(2)
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: 'USAGE',
        message: "unrecognized option '--foo'",
        details: [],
        hint: 'Try "pbmanifest verify --help" for more information.',
      },
    })
    expect(stderr).toContain("pbmanifest: error: unrecognized option '--foo'\n")
  })
})

test('the stack of an error is shown only when it is asked for', async () => {
  const args = [
    'fragment',
    'DIR',
    '-o',
    'OUT',
    `--backup-id=${'0'.repeat(32)}`,
    '--worker=0',
    '--files-from=/does/not/exist',
  ]
  const plain = await runCommandLine(args)
  expect(plain).toMatchObject({ status: 5, stdout: '' })
  expect(plain.stderr).toBe(
    'pbmanifest: error: could not read file "/does/not/exist": No such file or directory\n',
  )
  const withFlag = await runCommandLine([...args, '--debug'])
  expect(withFlag.stderr).toMatch(/\n +at /)
  const withVariable = await runCommandLine(args, { PBMANIFEST_DEBUG: '1' })
  expect(withVariable.stderr).toMatch(/\n +at /)
})

test('colour is only in the word', async () => {
  const { stderr } = await runCommandLine(['verify', '--color=always', '-F', 'zip', 'x'])
  expect(stderr).toContain('pbmanifest: \u001b[01;31merror:\u001b[0m invalid backup format "zip"')
})

test('nothing in a name reaches a terminal as it is, neither as text nor as JSON', async () => {
  const name = 'backup\u001b]0;x\u0007\u009b2J\u202etxt\u2028\u007f'
  const { stdout, stderr, status } = await runCommandLine(['verify', '--output=json', name])
  expect(status).toBe(5)
  for (const text of [stdout, stderr]) expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u)
  expect(stderr).toContain(String.raw`backup\x1b]0;x\x07\xc2\x9b2J\xe2\x80\xaetxt\xe2\x80\xa8\x7f`)
  const { error } = JSON.parse(stdout) as { error: { message: string } }
  expect(error.message).toContain(name)
})
