import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ReadArguments, readArguments } from '../../cli/read-arguments.js'

const options = {
  ignore: { alias: 'i', type: 'string', array: true },
  'manifest-path': { alias: 'm', type: 'string' },
  'wal-directory': { alias: ['w', 'wal-path'], type: 'string' },
  'no-parse-wal': { alias: 'n', type: 'boolean' },
  quiet: { alias: 'q', type: 'boolean' },
  'exit-on-error': { alias: 'e', type: 'boolean' },
  help: { alias: '?', type: 'boolean' },
  'page-checksums': { type: 'string', choices: ['auto', 'on', 'off'], valueWhenBare: 'on' },
  output: { type: 'string', choices: ['text', 'json'], default: 'text' },
} as const

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
  ])('%j becomes %j and %j', (args, given, operands) => {
    expect(readArguments(args, options)).toEqual({ options: { output: 'text', ...given }, operands })
  })

  test.each([
    [['-x'], "invalid option -- 'x'"],
    [['-qx'], "invalid option -- 'x'"],
    [['--foo'], "unrecognized option '--foo'"],
    [['--foo=bar'], "unrecognized option '--foo'"],
    [['--q'], "unrecognized option '--q'"],
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
