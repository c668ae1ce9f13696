import { verifyBackup } from 'pbmanifest'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createFileHasher } from '../../src/manifest/checksum/create-file-hasher.js'
import { emptyFile, formatManifest, versionFile, writeSmallBackup, writeTree } from '../cli/small-backup.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

/** Of a backup that was damaged before its manifest was made: size and checksum are right. */
async function problemsWith(
  path: string,
  content: string,
  ignore: readonly string[] = [],
): Promise<object[]> {
  const hasher = await createFileHasher('CRC32C')
  hasher.update(Buffer.from(content))
  const file = { path, size: content.length, checksum: hasher.digest() }
  const directory = await writeSmallBackup(scratch.path)
  await writeTree(directory, {
    [path]: content,
    backup_manifest: formatManifest([versionFile, emptyFile, file]),
  })
  const { problems } = await verifyBackup(directory, { noParseWal: true, ignore })
  return problems.map(({ kind, path: at }) => ({ kind, path: at }))
}

test.each([
  { path: 'tablespace_map', content: '16385 /here\n16386', kind: 'tablespace-map' },
  { path: 'tablespace_map', content: 'sixteen /here\n', kind: 'tablespace-map' },
  { path: 'backup_label', content: 'START WAL LOCATION: here\n', kind: 'backup-label' },
  { path: 'global/pg_control', content: 'x'.repeat(8192), kind: 'control-file' },
])('$path with "$content" is a problem, unless it is ignored', async ({ path, content, kind }) => {
  expect(await problemsWith(path, content)).toEqual([{ kind, path }])
  expect(await problemsWith(path, content, [path])).toEqual([])
})

test('what can be read is none', async () => {
  expect(await problemsWith('tablespace_map', '16385 /here\n')).toEqual([])
})
