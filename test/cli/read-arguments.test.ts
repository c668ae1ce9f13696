import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { OptionTable } from '../../cli/option-table.js'
import { type ReadArguments, readArguments } from '../../cli/read-arguments.js'

const text = { type: 'string', value: 'VALUE', kind: 'text', describe: 'a value' } as const
const flag = { type: 'boolean', describe: 'a flag' } as const

const options: OptionTable = {
  ignore: { ...text, alias: 'i', array: true },
  'manifest-path': { ...text, alias: 'm' },
  'wal-directory': { ...text, alias: ['w', 'wal-path'] },
  'no-parse-wal': { ...flag, alias: 'n' },
  quiet: { ...flag, alias: 'q' },
  'exit-on-error': { ...flag, alias: 'e' },
  help: { ...flag, alias: '?' },
  'page-checksums': { ...text, choices: ['auto', 'on', 'off'], valueWhenBare: 'on' },
  page: flag,
  'max-rate': text,
  output: { ...text, choices: ['text', 'json'], default: 'text' },
}

describe('readArguments', () => {
  test.each<[string[], ReadArguments['options'], string[]]>([
    [[], {}, []],
    [['dir'], {}, ['dir']],
    [['-q'], { quiet: true }, []],
    [['-?'], { help: true }, []],
    [['--no-parse-wal'], { 'no-parse-wal': true }, []],
    [['-qne', 'dir'], { quiet: true, 'no-parse-wal': true, 'exit-on-error': true }, ['dir']],
    [['-m', 'FILE'], { 'manifest-path': 'FILE' }, []],
    [['-mFILE'], { 'manifest-path': 'FILE' }, []],
    [['-m=FILE'], { 'manifest-path': 'FILE' }, []],
    [['-m==FILE'], { 'manifest-path': '=FILE' }, []],
    [['-qm', 'FILE'], { quiet: true, 'manifest-path': 'FILE' }, []],
    [['-qmFILE'], { quiet: true, 'manifest-path': 'FILE' }, []],
    [['--manifest-path', 'FILE'], { 'manifest-path': 'FILE' }, []],
    [['--manifest-path=a=b'], { 'manifest-path': 'a=b' }, []],
    [['--wal-path=W'], { 'wal-directory': 'W' }, []],
    [['--page-checksums=off'], { 'page-checksums': 'off' }, []],
    [['--page-checksums', 'off'], { 'page-checksums': 'on' }, ['off']],
    [['-i', '1260'], { ignore: ['1260'] }, []],
    [['-ibase/1'], { ignore: ['base/1'] }, []],
    [['-i', 'a', '--ignore=b', '-ic'], { ignore: ['a', 'b', 'c'] }, []],
    [['-i', '-q'], { ignore: ['-q'] }, []],
    [['-m', '--quiet'], { 'manifest-path': '--quiet' }, []],
    [['-m', '--'], { 'manifest-path': '--' }, []],
    [['-m', 'first', '-m', 'last'], { 'manifest-path': 'last' }, []],
    [['-q', '-q'], { quiet: true }, []],
    [['a', '-q', 'b'], { quiet: true }, ['a', 'b']],
    [['--', '-q', '--', '-i'], {}, ['-q', '--', '-i']],
    [['-'], {}, ['-']],
    [['--output', 'json'], { output: 'json' }, []],
    [['--q'], { quiet: true }, []],
    [['--no', '--exit'], { 'no-parse-wal': true, 'exit-on-error': true }, []],
    [['--manifest', 'FILE'], { 'manifest-path': 'FILE' }, []],
    [['--man=FILE'], { 'manifest-path': 'FILE' }, []],
    [['--page'], { page: true }, []],
    [['--page-'], { 'page-checksums': 'on' }, []],
    [['--page-c=off'], { 'page-checksums': 'off' }, []],
    // Two names of one option are no two options.
    [['--wal=W'], { 'wal-directory': 'W' }, []],
    [['--wal-p', 'W'], { 'wal-directory': 'W' }, []],
  ])('%j becomes %j and %j', (args, given, operands) => {
    expect(readArguments(args, options)).toEqual({ options: { output: 'text', ...given }, operands })
  })

  test.each([
    [['-x'], "invalid option -- 'x'"],
    [['-qx'], "invalid option -- 'x'"],
    [['--foo'], "unrecognized option '--foo'"],
    [['--foo=bar'], "unrecognized option '--foo'"],
    [['--='], "unrecognized option '--'"],
    [['--quiett'], "unrecognized option '--quiett'"],
    [['--ma'], "option '--ma' is ambiguous; possibilities: '--manifest-path' '--max-rate'"],
    [['--ma=3'], "option '--ma=3' is ambiguous; possibilities: '--manifest-path' '--max-rate'"],
    [['--pa'], "option '--pa' is ambiguous; possibilities: '--page-checksums' '--page'"],
    [['--wa'], "option '--wal-directory' requires an argument"],
    [['--qui=yes'], "option '--quiet' doesn't allow an argument"],
    [['--out=xml'], 'invalid value "xml" for option --output'],
    [['--__proto__=1'], "unrecognized option '--__proto__'"],
    [['-m'], "option requires an argument -- 'm'"],
    [['--manifest-path'], "option '--manifest-path' requires an argument"],
    [['--quiet=yes'], "option '--quiet' doesn't allow an argument"],
    [['-q=1'], "invalid option -- '='"],
    [['-m', ''], 'invalid value "" for option -m'],
    [['-m='], 'invalid value "" for option -m'],
    [['--ignore='], 'invalid value "" for option --ignore'],
    [['--output=xml'], 'invalid value "xml" for option --output'],
    [['dir', ''], 'empty command-line argument'],
  ])('%j is refused: %s', (args, message) => {
    expect(() => readArguments(args, options)).toThrow(expect.objectContaining({ code: 'USAGE', message }))
  })

  test.each([
    ['--ignroe', 'ignore'],
    ['--outptu=json', 'output'],
    ['--exit-on-eror', 'exit-on-error'],
    ['--wal-pth', 'wal-path'],
    ['--Quiet', 'quiet'],
    ['--output-format=json', 'output'],
  ])('%s is answered with what was probably meant: --%s', (arg, name) => {
    const hint = `Perhaps you meant the option "--${name}".`
    expect(() => readArguments([arg], options)).toThrow(expect.objectContaining({ code: 'USAGE', hint }))
  })

  test.each(['--x', '--verbose', '--\u{1f600}', `--ignore${'x'.repeat(60_000)}`])(
    'nothing is suggested for what is far from all names: %#',
    (arg) => {
      expect(() => readArguments([arg], options)).toThrow(expect.objectContaining({ hint: undefined }))
    },
  )

  test('any value arrives as it was given', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (value) => {
        expect(readArguments(['-i', value], options).options['ignore']).toEqual([value])
        expect(readArguments([`--ignore=${value}`], options).options['ignore']).toEqual([value])
        expect(readArguments(['--', value], options).operands).toEqual([value])
      }),
    )
  })
})
