import { expect, test } from 'vitest'
import { ownPathname } from '../../../../src/files/safe-pathname.js'
import { nearestVersion } from '../../../../src/postgres/versions.js'
import { listFilesBelow } from '../../../../src/transfer/cluster-files/sql/list-files.js'

const layout = {
  version: nearestVersion(18),
  tablespaceDirectory: 'PG_18_202506291',
  innerTablespaces: new Set<string>(),
}

/** What is listed of a directory with files of these names. */
async function list(parent: string, names: readonly string[]): Promise<string[]> {
  const entries = names.map((name) => ({ name, isDirectory: false, size: 1, modified: 0 }))
  const root = parent === '' ? '' : ownPathname(parent)
  const listed = await listFilesBelow(() => Promise.resolve([entries]), root, layout)
  return listed.map(({ pathname }) => pathname)
}

test.each(['..', '.', '', '../../outside/x', '/etc/passwd', 'a/b', 'a\0b'])(
  'a server that lists %j is not believed',
  async (name) => {
    for (const parent of ['', 'base/5']) {
      await expect(list(parent, ['1259', name])).rejects.toMatchObject({
        code: 'SERVER',
        message: expect.stringContaining('the server lists what cannot be a file of a backup: '),
      })
    }
  },
)

test('what another backup has left in the data directory is left out, elsewhere it is anything', async () => {
  const left = [`backup_manifest_${'0'.repeat(32)}.3`, 'backup_manifest.tmp', 'pbmanifest.unfinished']
  expect(await list('', [...left, 'PG_VERSION'])).toEqual(['PG_VERSION'])
  expect(await list('mine', left)).toEqual(left.toSorted().map((name) => `mine/${name}`))
})

test('what was gone before it could be looked at is left out', async () => {
  const entries = [{ name: 'base', isDirectory: undefined, size: 0, modified: 0 }]
  expect(await listFilesBelow(() => Promise.resolve([entries]), '', layout)).toEqual([])
})
