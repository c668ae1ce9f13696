import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ChainMember } from '../../../src/verify/chain/chain-member.js'
import type { ChainProblem } from '../../../src/verify/chain/chain-report.js'
import { findMissingFiles } from '../../../src/verify/chain/chain-consistency.js'
import { formatManifest, writeTree } from '../../cli/small-backup.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

/** What is missing when the manifests of a chain list these pathnames. */
async function missing(...manifests: readonly (readonly string[])[]): Promise<ChainProblem[]> {
  const members = await Promise.all(
    manifests.map(async (pathnames, index): Promise<ChainMember> => {
      const directory = join(scratch.path, String(index))
      const files = pathnames.map((path) => ({ path, size: 12, checksum: '00000000' }))
      await writeTree(directory, { backup_manifest: formatManifest(files) })
      const manifestPath = join(directory, 'backup_manifest')
      const [control, label] = [undefined, undefined]
      return { directory: String(index), manifestPath, manifestVersion: 2, walRanges: [], control, label }
    }),
  )
  return await findMissingFiles(members, undefined)
}

test('nothing is missing when every incremental file has one before it', async () => {
  const chain = [
    ['base/5/1', 'base/5/2'],
    ['base/5/INCREMENTAL.1', 'base/5/2'],
    ['base/5/INCREMENTAL.1', 'base/5/INCREMENTAL.2'],
  ]
  expect(await missing(...chain)).toEqual([])
})

test('a file that only looks like an incremental one needs none', async () => {
  expect(await missing([], ['pg_xact/INCREMENTAL.1'])).toEqual([])
})

test('what the backup before does not have is missing, whatever the one before that has', async () => {
  const chain = [['base/5/1', 'base/5/2'], ['base/5/1'], ['base/5/INCREMENTAL.1', 'base/5/INCREMENTAL.2']]
  expect(await missing(...chain)).toEqual([
    {
      kind: 'missing-file',
      directory: '2',
      message: 'backup at "2" has changed pages of "base/5/2", which backup at "1" does not have',
      path: 'base/5/2',
      previousDirectory: '1',
    },
  ])
})
