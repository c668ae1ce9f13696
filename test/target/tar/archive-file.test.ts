import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { MemberHeader } from '../../../src/files/tar/tar-header.js'
import { ArchiveFile } from '../../../src/target/tar/archive-file.js'
import { ArchiveEnds } from '../../../src/target/tar/tar-place.js'
import { mustRun } from '../../helpers/run-program.js'
import { useScratch } from '../../manifest/use-scratch.js'

const scratch = useScratch()

const owner = { uid: 0, gid: 0 }
const file = (name: string): Omit<MemberHeader, 'size'> => ({
  name,
  kind: 'file',
  mode: 0o600,
  modified: 0,
  owner,
})
const directory: Omit<MemberHeader, 'size'> = { ...file('there'), kind: 'directory', mode: 0o700 }

async function withArchive(use: (archive: ArchiveFile) => Promise<void>): Promise<string> {
  const path = join(scratch.path, 'base.tar')
  const archive = await ArchiveFile.create(path, 0o600, new ArchiveEnds(ArchiveEnds.allocate(1)), 0)
  await use(archive)
  await archive.end({ sync: true })
  return path
}

/** As GNU tar reads it. */
async function listed(path: string): Promise<string[]> {
  const { stdout } = await mustRun('tar', ['tvf', path])
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\S+ \S+ +([0-9]+) .* (\S+)$/, '$2 $1'))
}

test.each([
  ['as large as was thought', 500, ['label 500', 'after 3']],
  ['smaller', 12, ['label 12', 'after 3']],
  ['smaller by blocks', 12, ['label 12', 'there/ 0', 'there/ 0', 'after 3'], 1500],
  ['empty', 0, ['label 0', 'there/ 0', 'after 3']],
  ['larger', 600, ['there/ 0', 'there/ 0', 'after 3', 'label 600']],
])('a member that is %s has its place', async (_what, size, expected, reserved = 500) => {
  const content = Buffer.alloc(size, 'x')
  const path = await withArchive(async (archive) => {
    const reservation = archive.reserve(reserved)
    await archive.add(file('after'), Buffer.from('abc'))
    await archive.fill(reservation, file('label'), content, directory)
  })
  expect(await listed(path)).toEqual(expected)
  const { stdout } = await mustRun('tar', ['xOf', path, 'label'])
  expect(stdout).toBe(content.toString())
  expect(readFileSync(path).subarray(-1024).equals(Buffer.alloc(1024))).toBe(true)
})

test('bytes that do not come are zeros', async () => {
  const path = await withArchive(async (archive) => {
    await archive.write(Buffer.from('wal'), await archive.begin(file('segment'), 2048))
    await archive.add(file('after'))
  })
  expect(await listed(path)).toEqual(['segment 2048', 'after 0'])
  const { stdout } = await mustRun('tar', ['xOf', path, 'segment'])
  expect(stdout).toBe(`wal${'\0'.repeat(2045)}`)
})
