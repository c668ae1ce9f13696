import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { EntryKind } from '../../../src/files/read-directory.js'
import {
  type ClusterLayout,
  directoriesMadeIn,
  entrySelector,
  type FilesOf,
  isBelowBackupDirectories,
} from '../../../src/manifest/contents/select-entries.js'
import { nearestVersion } from '../../../src/postgres/versions.js'
import { pathnames } from './pathnames.js'

const layout: ClusterLayout = {
  version: nearestVersion(18),
  tablespaceDirectory: 'PG_18_202506291',
  innerTablespaces: new Set(['inner', 'spaces/inner']),
}
const fragment = `backup_manifest_${'0'.repeat(32)}.3`

function select(pathname: string, kind: EntryKind, filesOf: FilesOf = 'cluster', beside: string[] = []) {
  const slash = pathname.lastIndexOf('/')
  const name = pathname.slice(slash + 1)
  const parent = pathname.slice(0, Math.max(slash, 0))
  return entrySelector(parent, [...beside, name], layout, filesOf)({ name, kind })
}

describe('an entry', () => {
  test.each<[EntryKind, string, string]>([
    ['file', 'PG_VERSION', 'file'],
    ['symlink', 'postgresql.conf', 'special'],
    ['other', 'base/5/fifo', 'special'],
    ['directory', 'base/5', 'directory'],
    ['symlink', 'pg_xact', 'special'],
    // Left out by their names, whatever they are.
    ['file', 'log/postmaster.pid', 'left out'],
    ['directory', 'base/pgsql_tmp', 'left out'],
    ['symlink', 'pg_internal.init', 'left out'],
    ['directory', 'backup_label', 'left out'],
    // Without what is in them; they may be links.
    ['directory', 'pg_wal', 'empty directory'],
    ['symlink', 'pg_wal', 'empty directory'],
    ['directory', 'log/pg_wal', 'directory'],
    ['symlink', 'log/pg_wal', 'special'],
    ['directory', 'pg_replslot', 'empty directory'],
    ['symlink', 'log/pg_stat_tmp', 'empty directory'],
    // A server's own backup says nothing of these in its manifest.
    ['file', 'pg_wal', 'left out'],
    ['file', 'log/pg_notify', 'left out'],
    ['other', 'pg_notify', 'special'],
    // Tablespaces.
    ['symlink', 'pg_tblspc/16384', 'tablespace'],
    ['directory', 'pg_tblspc/16384', 'tablespace'],
    ['directory', 'pg_tblspc/pg_notify', 'left out'],
    ['file', 'pg_tblspc/note', 'file'],
    ['directory', 'pg_tblspc/16384/PG_18_202506291', 'directory'],
    ['directory', 'pg_tblspc/16384/PG_17_202406281', 'left out'],
    ['directory', 'pg_tblspc/16384/pg_notify', 'left out'],
    ['symlink', 'pg_tblspc/16384/PG_18_202506291', 'left out'],
    ['file', 'pg_tblspc/16384/stray', 'left out'],
    ['directory', 'inner', 'empty directory'],
    ['directory', 'spaces/inner', 'empty directory'],
    ['file', 'inner', 'file'],
    // Relations.
    ['file', 'base/5/t3_16500', 'left out'],
    ['file', 'base/5/16400', 'file'],
  ])('%s %s of a cluster: %s', (kind, pathname, expected) => {
    expect(select(pathname, kind)).toBe(expected)
  })

  test('of an unlogged relation is taken only if it is the init fork', () => {
    const names = ['16400', '16400_init', '16400_vm', '16401']
    const selections = names.map((name) => select(`base/5/${name}`, 'file', 'cluster', names))
    expect(selections).toEqual(['left out', 'file', 'left out', 'file'])
  })

  test.each([
    ['backup_label', 'left out', 'file'],
    ['tablespace_map', 'left out', 'file'],
    ['backup_manifest', 'left out', 'left out'],
    [fragment, 'left out', 'left out'],
    ['backup_manifest.tmp', 'left out', 'file'],
    ['pbmanifest.unfinished', 'left out', 'file'],
    ['mine/backup_label', 'left out', 'left out'],
    [`mine/${fragment}`, 'file', 'file'],
    ['mine/pbmanifest.unfinished', 'file', 'file'],
  ])('%s of a cluster: %s; of a copy: %s', (pathname, ofCluster, ofCopy) => {
    expect(select(pathname, 'file', 'cluster')).toBe(ofCluster)
    expect(select(pathname, 'file', 'copy')).toBe(ofCopy)
  })
})

test('any PG directory of a tablespace is one of a cluster whose version is not known', () => {
  const unknown = { ...layout, tablespaceDirectory: undefined }
  const select = entrySelector('pg_tblspc/16384', [], unknown, 'copy')
  expect(select({ name: 'PG_14_202107181', kind: 'directory' })).toBe('directory')
  expect(select({ name: 'stray', kind: 'directory' })).toBe('left out')
})

test.each([
  [16, 'pg_wal', ['pg_wal/archive_status']],
  [17, 'pg_wal', ['pg_wal/archive_status', 'pg_wal/summaries']],
  [18, 'pg_notify', []],
])('what a server of version %d makes in %s', (major, pathname, expected) => {
  expect(directoriesMadeIn(pathname, { ...layout, version: nearestVersion(major) })).toEqual(expected)
})

test('a pathname is below the directories of a backup when each on its way is one', () => {
  fc.assert(
    fc.property(
      pathnames,
      fc.constantFrom(...(['cluster', 'copy'] as const)),
      fc.boolean(),
      (pathname, filesOf, isKnown) => {
        const some = isKnown ? layout : { ...layout, tablespaceDirectory: undefined }
        const steps = pathname.split('/').slice(0, -1)
        const isEachTaken = steps.every((name, at) => {
          const parent = steps.slice(0, at).join('/')
          const selection = entrySelector(parent, [], some, filesOf)({ name, kind: 'directory' })
          return selection === 'directory' || selection === 'tablespace'
        })
        expect(isBelowBackupDirectories(pathname, some, filesOf)).toBe(isEachTaken)
      },
    ),
    { numRuns: 2000 },
  )
})
