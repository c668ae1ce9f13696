import { describe, expect, test } from 'vitest'
import { findPageFile, wholeFilePathname } from '../../../src/postgres/data-page/page-files.js'

describe('findPageFile', () => {
  test.each([
    ['base/5/1259', 0],
    ['base/5/16394.3', 3],
    ['base/5/16394_fsm', 0],
    ['base/5/16394_vm.1', 1],
    ['base/5/16394_init', 0],
    ['global/1260', 0],
    ['pg_tblspc/16384/PG_18_202506291/5/16385', 0],
    ['pg_tblspc/16384/PG_18_202506291/5/16385.131072', 131072],
  ])('knows that %s holds all pages of segment %d', (pathname, segment) => {
    expect(findPageFile(pathname)).toEqual({ isIncremental: false, segment })
  })

  test.each([
    ['base/5/INCREMENTAL.16394', 0],
    ['base/5/INCREMENTAL.16394.1', 1],
    ['base/5/INCREMENTAL.16394_vm', 0],
    ['global/INCREMENTAL.1261', 0],
    ['pg_tblspc/16384/PG_18_202506291/5/INCREMENTAL.16385', 0],
    ['base/5/INCREMENTAL.PG_VERSION', undefined],
    ['base/5/deeper/INCREMENTAL.16394', undefined],
    ['base/5/INCREMENTAL.', undefined],
    ['pg_tblspc/16384/INCREMENTAL.1', undefined],
  ])('knows that %s holds changed pages of segment %s', (pathname, segment) => {
    expect(findPageFile(pathname)).toEqual({ isIncremental: true, segment })
  })

  test.each([
    '',
    '1259',
    'base/1259',
    'base/INCREMENTAL.1259',
    'pg_tblspc/INCREMENTAL.1259',
    'base/5/pg_internal.init.123',
    'base/5/t3_5',
    'base/5/t3_5.1',
    'base/5/88888.x',
    'base/5/88888.0',
    'base/5/0',
    'base/5/PG_VERSION',
    'base/5/pg_filenode.map',
    'base/5/1259.old',
    'base/5/deeper/1259',
    'base/x/1259',
    'xbase/5/1259',
    'global/pg_control',
    'global/5/1260',
    'globals/1260',
    'INCREMENTAL.1259',
    'pg_xact/0000',
    'pg_wal/INCREMENTAL.1',
    'pg_tblspc/16384/5/16385',
    'pg_tblspc/16384/PG_18_202506291/16385',
    'pg_tblspc/x/PG_18_202506291/5/16385',
    'pg_multixact/members/1',
  ])('finds no pages in "%s"', (pathname) => {
    expect(findPageFile(pathname)).toBeUndefined()
  })
})

test('an incremental file stands for the file without the prefix', () => {
  expect(wholeFilePathname('base/5/INCREMENTAL.16394.1')).toBe('base/5/16394.1')
  expect(wholeFilePathname('global/INCREMENTAL.1261')).toBe('global/1261')
})
