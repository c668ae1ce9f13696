import { expect, test } from 'vitest'
import {
  mapTablespace,
  parseTablespaceMapping,
} from '../../../../src/transfer/client/target/tablespace-mapping.js'

test.each([
  ['/a=/b', '/a', '/b'],
  ['/a/=/b//c/./d/', '/a', '/b/c/d'],
  [String.raw`/a\=b=/c\=d`, '/a=b', '/c=d'],
  [String.raw`/a\b=/c`, String.raw`/a\b`, '/c'],
  ['/=/b', '/', '/b'],
])('%s', (text, from, to) => {
  expect(parseTablespaceMapping(text)).toEqual({ from, to })
})

test.each([
  ['/a', 'invalid tablespace mapping format "/a", must be "OLDDIR=NEWDIR"'],
  ['=/b', 'invalid tablespace mapping format "=/b", must be "OLDDIR=NEWDIR"'],
  ['/a=', 'invalid tablespace mapping format "/a=", must be "OLDDIR=NEWDIR"'],
  ['', 'invalid tablespace mapping format "", must be "OLDDIR=NEWDIR"'],
  ['/a=/b=/c', 'multiple "=" signs in tablespace mapping'],
  ['a=/b', 'old directory is not an absolute path in tablespace mapping: a'],
  ['/a=b', 'new directory is not an absolute path in tablespace mapping: b'],
])('%s is refused', (text, message) => {
  expect(() => parseTablespaceMapping(text)).toThrow(expect.objectContaining({ code: 'USAGE', message }))
})

test('a tablespace goes where its first mapping says, another stays where it is', () => {
  const mappings = ['/a=/1', '/a=/2', '/none=/3'].map(parseTablespaceMapping)
  expect(mapTablespace('/a/', mappings)).toBe('/1')
  expect(mapTablespace('/b', mappings)).toBe('/b')
})
