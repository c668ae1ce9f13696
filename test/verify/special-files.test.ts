import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { verifyBackup } from 'pbmanifest'
import { expect, onTestFinished, test } from 'vitest'
import { pbmanifest } from '../cli/pbmanifest.js'
import { formatManifest, versionFile, writeSmallBackup, writeTree } from '../cli/small-backup.js'
import { poll } from '../helpers/poll.js'
import { mustRun } from '../helpers/run-program.js'
import { useScratch } from '../manifest/use-scratch.js'

const scratch = useScratch()

/** Puts a FIFO there, with a writer that waits for a reader. */
async function putFifo(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await rm(path, { force: true })
  await mustRun('mkfifo', [path])
  const writer = spawn('bash', ['-c', 'echo waiting > "$1.started"; echo written > "$1"', 'bash', path])
  onTestFinished(() => void writer.kill())
  await poll('the writer', async () => existsSync(`${path}.started`))
  await rm(`${path}.started`)
}

/** All that its writer has written is still to be read. */
async function contentOf(path: string): Promise<string> {
  const { stdout } = await mustRun('timeout', ['10', 'cat', path])
  return stdout
}

const listed = [
  'PG_VERSION',
  'base/1/16384',
  'base/1/16385',
  'global/pg_control',
  'backup_label',
  'tablespace_map',
  'postgresql.auto.conf',
].map((path) => ({ ...versionFile, path }))

test('a FIFO in a backup is not opened, whatever it stands for: its writer loses nothing', async () => {
  const directory = await writeSmallBackup(scratch.path)
  await writeTree(directory, { backup_manifest: formatManifest(listed) })
  const fifos = [...listed.map(({ path }) => path), 'pg_wal/000000010000000000000002', 'standby.signal']
  for (const path of fifos) await putFifo(join(directory, path))
  // A link to one is no better, in the manifest or not.
  const linked = join(directory, 'base/1/16385')
  await rename(linked, join(scratch.path, 'linked'))
  for (const link of [linked, join(directory, 'extra')]) await symlink(join(scratch.path, 'linked'), link)
  const { problems, warnings } = await verifyBackup(directory, { jobs: 2 })
  const found = problems.map(({ kind, path }) => `${kind} ${path}`)
  for (const { path } of listed.filter(({ path }) => path !== 'postgresql.auto.conf')) {
    expect(found.filter((line) => line.endsWith(` ${path}`))).toEqual([`not-a-file ${path}`])
  }
  expect(warnings).toMatchObject([{ path: 'postgresql.auto.conf' }, { path: 'standby.signal' }])
  for (const path of fifos) expect(await contentOf(join(directory, path))).toBe('written\n')
})

test('nor is one in the place of an archive', async () => {
  const directory = join(scratch.path, 'tar')
  await writeTree(directory, { backup_manifest: formatManifest([versionFile]) })
  await putFifo(join(directory, 'base.tar'))
  const { problems } = await verifyBackup(directory, { format: 'tar', noParseWal: true })
  expect(problems.map(({ kind, path }) => [kind, path])).toContainEqual(['not-a-file', 'base.tar'])
  expect(await contentOf(join(directory, 'base.tar'))).toBe('written\n')
})

test('nor one in a directory of which a fragment is made', async () => {
  const directory = await writeSmallBackup(scratch.path)
  await putFifo(join(directory, 'base/1/16385'))
  const output = join(scratch.path, 'fragment')
  await pbmanifest(['fragment', directory, '--worker', '0', '--backup-id', '0'.repeat(32), '-o', output])
  expect(await contentOf(join(directory, 'base/1/16385'))).toBe('written\n')
})
