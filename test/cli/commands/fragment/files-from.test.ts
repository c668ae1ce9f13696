import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { parseFilesFrom, readFilesFrom } from '../../../../cli/commands/fragment/files-from.js'
import { encodePathname } from '../../../../src/files/pathname.js'

const never = new AbortController().signal

describe('parseFilesFrom', () => {
  test.each([
    ['', []],
    ['a\nb\n', ['a', 'b']],
    ['a\nb', ['a', 'b']],
    ['\n\na\n\n', ['a']],
    ['a\0b\0', ['a', 'b']],
    ['a\nb\0c', ['a\nb', 'c']],
    ['./a\n././b\n.//c\n', ['a', 'b', 'c']],
    ['.\n./\n', []],
    ['.hidden\n..x\n../y\n', ['.hidden', '..x', '../y']],
    ['base/./1\n', ['base/./1']],
    [' a \r\n', [' a \r']],
  ])('%j names %j', (list, pathnames) => {
    expect(parseFilesFrom(Buffer.from(list))).toEqual(pathnames)
  })

  test('keeps bytes that are not UTF-8', () => {
    const name = Buffer.from([0x62, 0xff, 0x2f, 0xfe])
    const [pathname = ''] = parseFilesFrom(Buffer.concat([name, Buffer.from('\n')]))
    expect(encodePathname(pathname)).toEqual(name)
  })
})

describe('readFilesFrom', () => {
  test('reads standard input for "-"', async () => {
    const stdin = Readable.from([Buffer.from('a\nb'), Buffer.from('c\n')])
    expect(await readFilesFrom('-', stdin, never)).toEqual(['a', 'bc'])
  })

  test('names a file that cannot be read', async () => {
    await expect(readFilesFrom('/does/not/exist', Readable.from([]), never)).rejects.toMatchObject({
      code: 'IO',
      message: 'could not read file "/does/not/exist": No such file or directory',
    })
  })

  test('stops waiting for standard input when told to', async () => {
    const controller = new AbortController()
    const waiting = readFilesFrom('-', new Readable({ read: () => {} }), controller.signal)
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
  })
})
