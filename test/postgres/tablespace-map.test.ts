import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseTablespaceMap } from '../../src/postgres/tablespace-map.js'
import { formatTablespaceMap } from './format-tablespace-map.js'
import { badFileError } from './bad-file-error.js'

describe('parseTablespaceMap', () => {
  test.each([
    ['', []],
    ['16384 /srv/fast\n', [{ oid: 16384, location: '/srv/fast' }]],
    ['4294967295  two spaces \n', [{ oid: 4294967295, location: ' two spaces ' }]],
    ['1 /a\\\\b\\\nc\\\rd\\e\n', [{ oid: 1, location: '/a\\b\nc\rde' }]],
    [
      '1 /a\r\n\n2 /b\r',
      [
        { oid: 1, location: '/a' },
        { oid: 2, location: '/b' },
      ],
    ],
  ])('reads %j', (text, entries) => {
    expect(parseTablespaceMap(text, 'tablespace_map')).toEqual(entries)
  })

  test.each([
    ['16384 /srv', 'last line not newline-terminated'],
    ['1 /a\n\\', 'last line not newline-terminated'],
    ['16384 \n', '"16384 " is not a tablespace OID and a location'],
    ['16384\n', '"16384" is not a tablespace OID and a location'],
    ['/srv/fast\n', '"/srv/fast" is not a tablespace OID and a location'],
    [' /srv\n', '" /srv" is not a tablespace OID and a location'],
    ['0 /srv\n', '"0 /srv" is not a tablespace OID and a location'],
    ['4294967296 /srv\n', '"4294967296 /srv" is not a tablespace OID and a location'],
    ['1x /srv\n', '"1x /srv" is not a tablespace OID and a location'],
  ])('refuses %j', (text, what) => {
    expect(() => parseTablespaceMap(text, 'tablespace_map')).toThrow(
      badFileError(`"tablespace_map": invalid data in file: ${what}`),
    )
  })
})

describe('formatTablespaceMap', () => {
  test('puts a backslash before each line feed, carriage return and backslash', () => {
    expect(formatTablespaceMap([{ oid: 1, location: '/a\\b\nc\rd' }])).toBe('1 /a\\\\b\\\nc\\\rd\n')
  })

  test('writes what parseTablespaceMap reads', () => {
    const anyLocation = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1 }),
      fc.string({ unit: fc.constantFrom('\\', '\n', '\r', ' ', '/', 'n'), minLength: 1 }),
    )
    const anyEntry = fc.record({ oid: fc.integer({ min: 1, max: 0xffff_ffff }), location: anyLocation })
    fc.assert(
      fc.property(fc.array(anyEntry), (entries) => {
        expect(parseTablespaceMap(formatTablespaceMap(entries), 'tablespace_map')).toEqual(entries)
      }),
    )
  })
})
