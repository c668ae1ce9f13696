import { describe, expect, test } from 'vitest'
import { ownPathname, requireSafeChild, requireSafePathname } from '../../src/files/safe-pathname.js'

const refuse = (message: string): Error => new Error(message)

describe('the gate for pathnames', () => {
  test.each(['a', 'base/5/1259', '.hidden', '..a/b..', 'a/...', 'caf\udce9', 'two\nlines', 'C:', 'a\\..\\b'])(
    'lets %j through',
    (pathname) => {
      expect(requireSafePathname(pathname, refuse)).toBe(pathname)
    },
  )

  test.each([
    ['', 'empty path name: ""'],
    ['/', 'absolute path name: "/"'],
    ['/etc/passwd', 'absolute path name: "/etc/passwd"'],
    ['..', 'path name leaves the data directory: ".."'],
    ['../x', 'path name leaves the data directory: "../x"'],
    ['base/../../x', 'path name leaves the data directory: "base/../../x"'],
    ['base/..', 'path name leaves the data directory: "base/.."'],
    ['.', 'path name is not in its shortest form: "."'],
    ['./a', 'path name is not in its shortest form: "./a"'],
    ['a//b', 'path name is not in its shortest form: "a//b"'],
    ['a/', 'path name is not in its shortest form: "a/"'],
    ['a\0b', String.raw`path name contains a null byte: "a\x00b"`],
  ])('stops %j', (pathname, message) => {
    expect(() => requireSafePathname(pathname, refuse)).toThrow(message)
    expect(() => ownPathname(pathname)).toThrow(message)
  })
})

describe('the gate for names in a directory', () => {
  test('joins the two', () => {
    expect(requireSafeChild('', 'base', refuse)).toBe('base')
    expect(requireSafeChild(ownPathname('base/5'), '1259', refuse)).toBe('base/5/1259')
  })

  test.each(['', '.', '..', '/', 'a/b', '../x', 'a\0b'])('stops %j', (name) => {
    expect(() => requireSafeChild('', name, refuse)).toThrow(/path name|name in a directory/)
    expect(() => requireSafeChild(ownPathname('base'), name, refuse)).toThrow(/path name|name in a directory/)
  })
})
