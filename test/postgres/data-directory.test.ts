import { describe, expect, test } from 'vitest'
import {
  isLeftOutOfBaseBackup,
  isNameOfPostgres,
  isSentEmpty,
  isWithoutPages,
  tablespaceVersionDirectory,
} from '../../src/postgres/data-directory.js'

describe('isLeftOutOfBaseBackup', () => {
  test.each([
    '.DS_Store',
    'backup_label',
    'backup_manifest',
    'current_logfiles.tmp',
    'pgsql_tmp',
    'pgsql_tmp3.0',
    'pg_internal.init',
    'pg_internal.init.123',
    'pg_internal.initX',
    'postgresql.auto.conf.tmp',
    'postmaster.opts',
    'postmaster.pid',
    'tablespace_map',
  ])('leaves out %s', (name) => {
    expect(isLeftOutOfBaseBackup(name)).toBe(true)
  })

  test.each([
    'backup_label.old',
    'current_logfiles',
    'postgresql.auto.conf',
    'standby.signal',
    '.hidden',
    'PG_VERSION',
    'pg_control',
    'tablespace_map.old',
    'pg_notify',
    'pg_wal',
    '16384',
    't3_16384',
  ])('keeps %s', (name) => {
    expect(isLeftOutOfBaseBackup(name)).toBe(false)
  })
})

describe('isSentEmpty', () => {
  test.each([
    'pg_dynshmem',
    'pg_notify',
    'pg_replslot',
    'pg_serial',
    'pg_snapshots',
    'pg_stat_tmp',
    'pg_subtrans',
  ])('empties %s', (name) => {
    expect(isSentEmpty(name)).toBe(true)
  })

  test.each(['pg_wal', 'pg_stat', 'pg_xact', 'base', 'pg_notify2'])('keeps the contents of %s', (name) => {
    expect(isSentEmpty(name)).toBe(false)
  })
})

test.each([
  ['pg_control', true],
  ['pg_filenode.map', true],
  ['PG_VERSION', true],
  ['pg_internal.init.77', true],
  ['16384', false],
  ['t3_16384', false],
])('whether %s is a file without pages: %s', (name, expected) => {
  expect(isWithoutPages(name)).toBe(expected)
})

describe('isNameOfPostgres', () => {
  test.each(['base', 'pg_wal', 'pg_stat_tmp', 'pg_notify', 'PG_VERSION', 'promote'])('knows %s', (name) => {
    expect(isNameOfPostgres(name)).toBe(true)
  })

  test.each(['log', 'mappings', 'pg_wal2', 'lost+found'])('does not know %s', (name) => {
    expect(isNameOfPostgres(name)).toBe(false)
  })
})

test("a tablespace's directory is named by major and catalog version", () => {
  expect(tablespaceVersionDirectory(18, 202506291)).toBe('PG_18_202506291')
})
