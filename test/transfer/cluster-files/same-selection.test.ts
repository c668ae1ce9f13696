import { lstatSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Yielder } from '../../../src/files/yielder.js'
import { ownPathname } from '../../../src/files/safe-pathname.js'
import { isMadeByBackup } from '../../../src/manifest/contents/made-by-backup.js'
import type { ClusterLayout } from '../../../src/manifest/contents/select-entries.js'
import { walkBackup } from '../../../src/manifest/contents/walk-backup.js'
import { nearestVersion } from '../../../src/postgres/versions.js'
import type { ClusterFile } from '../../../src/transfer/cluster-files/cluster-files.js'
import {
  listLocalFiles,
  listLocalTablespaces,
} from '../../../src/transfer/cluster-files/local/list-local-files.js'
import { listFilesBelow, type StatedEntry } from '../../../src/transfer/cluster-files/sql/list-files.js'
import { pathnames } from '../../manifest/contents/pathnames.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'

/** A pathname, and what is made there. Links lead to a directory with a file in it, outside. */
const items = fc.record({
  // Only a listing of all of a copy has what is in pg_tblspc under a name that no server gives.
  pathname: pathnames.filter((pathname) => !pathname.startsWith('pg_tblspc/0')),
  kind: fc.constantFrom('file', 'file', 'file', 'directory', 'link'),
})

/** Links that a server takes for directories. Of others, SQL cannot tell that they are links. */
const directoryLinks =
  /^pg_wal$|(?:^|\/)(?:pg_notify|pg_stat_tmp|pg_replslot|pg_dynshmem)$|^pg_tblspc\/[0-9]+$/

function make(directory: string, pathname: string, kind: string): void {
  const path = join(directory, pathname)
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return
    mkdirSync(dirname(path), { recursive: true })
    if (kind === 'directory') mkdirSync(path)
    else if (kind === 'file') writeFileSync(path, pathname)
    else if (directoryLinks.test(pathname)) symlinkSync(join(directory, '../outside'), path)
  } catch (error) {
    // A file is in the way.
    if (!/ENOTDIR|EEXIST/.test(String(error))) throw error
  }
}

/** What SQL's functions say of directories. */
function listAsSql(directory: string, pathname: string): StatedEntry[] {
  return readdirSync(join(directory, pathname)).map((name) => {
    const stats = statSync(join(directory, pathname, name))
    return {
      name,
      isDirectory: stats.isDirectory(),
      size: stats.size,
      modified: Math.floor(stats.mtimeMs / 1000),
    }
  })
}

function shownOf(files: readonly ClusterFile[]): string[] {
  return files.map(({ pathname, kind, size }) => `${kind} ${pathname} ${size}`).toSorted()
}

test('the disk, SQL and a fragment have the same files of the same tree', async () => {
  const yielder = new Yielder(undefined)
  await fc.assert(
    fc.asyncProperty(
      fc.array(items, { minLength: 5, maxLength: 40 }),
      fc.constantFrom(15, 18),
      async (tree, major) => {
        const scratch = createScratchDirectory()
        try {
          const directory = join(scratch.path, 'data')
          for (const path of [
            'data/pg_tblspc',
            'outside/PG_18_202506291/5',
            'data/spaces/inner/PG_18_202506291/5',
          ]) {
            mkdirSync(join(scratch.path, path), { recursive: true })
            writeFileSync(join(scratch.path, path, '16402'), 'outside or inside')
          }
          symlinkSync(join(directory, 'spaces/inner'), join(directory, 'pg_tblspc/16386'))
          for (const { pathname, kind } of tree) make(directory, pathname, kind)
          const layout: ClusterLayout = {
            version: nearestVersion(major),
            tablespaceDirectory: 'PG_18_202506291',
            innerTablespaces: new Set(['spaces/inner']),
          }
          const filesOfAll: string[] = []
          for (const { oid } of listLocalTablespaces(directory)) {
            const onDisk = await listLocalFiles(directory, layout, oid, yielder)
            const root = oid === undefined ? '' : ownPathname(`pg_tblspc/${oid}`)
            const overSql = await listFilesBelow(
              (directories) => Promise.resolve(directories.map((pathname) => listAsSql(directory, pathname))),
              root,
              layout,
            )
            expect(shownOf(overSql)).toEqual(shownOf(onDisk))
            filesOfAll.push(...onDisk.flatMap(({ pathname, kind }) => (kind === 'file' ? [pathname] : [])))
          }
          const inFragment = [...walkBackup({ directory, layout, filesOf: 'copy' })].filter(
            ({ pathname, kind }) => kind === 'file' && !isMadeByBackup(pathname.split('/')[0] ?? ''),
          )
          expect(inFragment.map(({ pathname }) => pathname).toSorted()).toEqual(filesOfAll.toSorted())
        } finally {
          scratch.remove()
        }
      },
    ),
    { numRuns: 50 },
  )
})
