import { expect, test } from 'vitest'
import { ownPathname } from '../../../../src/files/safe-pathname.js'
import { nearestVersion } from '../../../../src/postgres/versions.js'
import { selectEntries } from '../../../../src/transfer/cluster-files/sql/select-entries.js'

const layout = {
  majorVersion: 18,
  version: nearestVersion(18),
  tablespaceDirectory: 'PG_18_202506291',
  tablespaces: [],
  innerTablespaces: new Set<string>(),
}

const file = (name: string) => ({ name, isDirectory: false, size: 1, modified: 0 })

test.each(['..', '.', '', '../../outside/x', '/etc/passwd', 'a/b', 'a\0b'])(
  'a server that lists %j is not believed',
  (name) => {
    for (const parent of ['', ownPathname('base/5')] as const) {
      expect(() => selectEntries(parent, [file('1259'), file(name)], layout)).toThrow(
        expect.objectContaining({
          code: 'SERVER',
          message: expect.stringContaining('the server lists what cannot be a file of a backup: '),
        }),
      )
    }
  },
)

test('what another backup has left in the data directory is left out, elsewhere it is anything', () => {
  const left = ['pbmanifest.unfinished', 'backup_manifest.tmp', `backup_manifest_${'0'.repeat(32)}.3`]
  const listed = [...left, 'PG_VERSION'].map(file)
  expect(selectEntries('', listed, layout).entries.map(({ pathname }) => pathname)).toEqual(['PG_VERSION'])
  const elsewhere = selectEntries(ownPathname('mine'), listed, layout).entries
  expect(elsewhere.map(({ pathname }) => pathname)).toEqual(listed.map(({ name }) => `mine/${name}`))
})
