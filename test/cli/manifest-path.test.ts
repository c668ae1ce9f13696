import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { shell } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'
import { emptyFile, formatManifest, versionFile, writeSmallBackup } from './small-backup.js'

let scratch: ScratchDirectory
let backup: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  backup = await writeSmallBackup(scratch.path)
})

afterEach(() => scratch.remove())

test('a manifest that a shell gives through a pipe is read', async () => {
  const { status, stdout, stderr } = await shell(
    'gzip "$1/backup_manifest"; pbmanifest verify -n -m <(zcat "$1/backup_manifest.gz") -i backup_manifest.gz "$1"',
    backup,
  )
  expect({ status, stderr, stdout }).toEqual({
    status: 0,
    stderr: '',
    stdout: expect.stringContaining('backup successfully verified'),
  })
})

test('a pipe that is no manifest, and has no end, is left at once', async () => {
  const { status, stderr } = await shell('pbmanifest verify -m <(yes) "$1"', backup)
  expect({ status, stderr }).toEqual({
    status: 3,
    stderr: expect.stringMatching(
      /^pbmanifest: error: could not parse backup manifest: Token "y" is invalid\./,
    ),
  })
})

test('an empty pipe is no manifest', async () => {
  const { status, stderr } = await shell('pbmanifest verify -m <(true) "$1"', backup)
  expect(status).toBe(3)
  expect(stderr).toMatch(/^pbmanifest: error: could not parse backup manifest: /)
})

test('a pipe in the place of the manifest of a backup is refused, and not waited for', async () => {
  const { status, stderr } = await shell(
    'rm "$1/backup_manifest"; mkfifo "$1/backup_manifest"; pbmanifest verify "$1"',
    backup,
  )
  expect({ status, stderr }).toEqual({ status: 5, stderr: expect.stringContaining('is not a regular file') })
})

test('a file of 50 GB that is no manifest is known by its first bytes', async () => {
  const path = join(scratch.path, 'huge')
  await writeFile(path, '')
  await truncate(path, 50 * 1024 ** 3)
  const { status, stderr } = await runCommandLine(['verify', '-m', path, backup])
  expect({ status, stderr }).toEqual({
    status: 3,
    stderr: `pbmanifest: error: could not parse backup manifest: Token "\\x00" is invalid. (in "${path}")\n`,
  })
})

test('a file of 50 GB that begins as a manifest is more than one can have', async () => {
  const path = join(scratch.path, 'huge')
  await writeFile(
    path,
    `${formatManifest([versionFile, emptyFile]).split('\n],')[0]},\n${' '.repeat(300_000)}`,
  )
  await truncate(path, 50 * 1024 ** 3)
  const { status, stderr } = await runCommandLine(['verify', '-m', path, backup])
  expect({ status, stderr }).toEqual({
    status: 5,
    stderr: `pbmanifest: error: could not read file "${path}": it has 53687091200 bytes, more than a manifest can have here\n`,
  })
})
