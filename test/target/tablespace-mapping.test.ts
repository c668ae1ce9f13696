import { expect, test } from 'vitest'
import { displayPathname } from '../../src/files/pathname.js'
import { mapTablespace, parseTablespaceMapping } from '../../src/target/tablespace-mapping.js'

test.each([
  ['/a=/b', '/a', '/b'],
  ['/a/=/b//c/./d/', '/a', '/b/c/d'],
  [String.raw`/a\=b=/c\=d`, '/a=b', '/c=d'],
  [String.raw`/a\b=/c`, String.raw`/a\b`, '/c'],
  ['/=/b', '/', '/b'],
  [String.raw`/l\xe4=/\xC3\xA4/\xe4\xb8`, '/l\udce4', '/ä/\udce4\udcb8'],
  [String.raw`/a\x5cxe4\x0a=/b\x3dc`, '/a\\xe4\n', '/b=c'],
])('%s', (text, from, to) => {
  expect(parseTablespaceMapping(text)).toEqual({ from, to })
})

test.each([
  ['/a', 'invalid tablespace mapping format "/a", must be "OLDDIR=NEWDIR"'],
  ['=/b', 'invalid tablespace mapping format "=/b", must be "OLDDIR=NEWDIR"'],
  ['/a=', 'invalid tablespace mapping format "/a=", must be "OLDDIR=NEWDIR"'],
  ['', 'invalid tablespace mapping format "", must be "OLDDIR=NEWDIR"'],
  ['/a=/b=/c', 'multiple "=" signs in tablespace mapping'],
  [String.raw`/a\x00=/b`, String.raw`directory in tablespace mapping has a NUL: /a\x00`],
  ['/a=/b\ufffd', 'directory in tablespace mapping is not UTF-8: /b\ufffd'],
  ['a=/b', 'old directory is not an absolute path in tablespace mapping: a'],
  ['/a=b', 'new directory is not an absolute path in tablespace mapping: b'],
])('%s is refused', (text, message) => {
  expect(() => parseTablespaceMapping(text)).toThrow(expect.objectContaining({ code: 'USAGE', message }))
})

test('what a message shows of a location can be given as it is', () => {
  for (const location of ['/l\udce4', '/ä\udcc3', '/a\nb', String.raw`/a\xe4`]) {
    const { from } = parseTablespaceMapping(`${displayPathname(location)}=/b`)
    expect(from).toBe(location)
  }
})

test('a tablespace goes where its first mapping says, another stays where it is', () => {
  const mappings = ['/a=/1', '/a=/2', '/none=/3'].map(parseTablespaceMapping)
  expect(mapTablespace('/a/', mappings)).toBe('/1')
  expect(mapTablespace('/b', mappings)).toBe('/b')
})
