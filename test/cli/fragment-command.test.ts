import { readdirSync, readFileSync } from 'node:fs'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { pbmanifest, shell } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'
import { writeTree } from './small-backup.js'

const backupId = '00112233445566778899aabbccddeeff'

let scratch: ScratchDirectory
let directory: string
let output: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  directory = join(scratch.path, 'data')
  output = join(scratch.path, `backup_manifest_${backupId}.0`)
  await writeTree(directory, { PG_VERSION: '15\n', 'base/1/16384': '', 'base/1/new\nline': 'x' })
})

afterEach(() => scratch.remove())

function pathsIn(fragment: string): string[] {
  const lines = readFileSync(fragment, 'utf8').trimEnd().split('\n')
  return lines.slice(0, -1).map((line) => {
    const file: { readonly Path: string } = JSON.parse(line)
    return file.Path
  })
}

const common = (): string[] => ['-o', output, '--backup-id', backupId]

describe('pbmanifest fragment', () => {
  test('records the whole directory as worker 0 of one', async () => {
    expect(await pbmanifest(['fragment', directory, '--worker', '0', ...common()])).toEqual({
      status: 0,
      stdout: `recorded 3 files, 4 bytes, in "${output}"\n`,
      stderr: '',
    })
    expect(pathsIn(output).toSorted()).toEqual(['PG_VERSION', 'base/1/16384', 'base/1/new\nline'])
  })

  test('says nothing with -q', async () => {
    const args = ['fragment', directory, '-q', '--worker=0', '--workers=1', ...common()]
    expect(await runCommandLine(args)).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test('takes names of algorithms in lower case', async () => {
    const args = ['fragment', directory, '--worker=0', '--checksum-algorithm', 'sha256', ...common()]
    expect(await runCommandLine(args)).toMatchObject({ status: 0, stderr: '' })
    expect(readFileSync(output, 'utf8')).toContain('"Checksum-Algorithm": "SHA256"')
  })

  test('records what find prints, LF separated', async () => {
    const line =
      'cd "$1" && printf "./PG_VERSION\\n\\n./base/1/16384\\n" | pbmanifest fragment . --worker 5 --files-from - "${@:2}"'
    expect(await shell(line, directory, ...common())).toMatchObject({ status: 0, stderr: '' })
    expect(pathsIn(output).toSorted()).toEqual(['PG_VERSION', 'base/1/16384'])
    expect(readFileSync(output, 'utf8')).toContain('"Worker": 5,')
  })

  test('records what find -print0 prints, NUL separated', async () => {
    const line =
      'cd "$1" && find . -type f -print0 > ../list && pbmanifest fragment . --worker=0 --files-from=../list "${@:2}"'
    expect(await shell(line, directory, ...common())).toMatchObject({ status: 0, stderr: '' })
    expect(pathsIn(output)).toContain('base/1/new\nline')
  })

  test('has status 5 and leaves nothing when a listed file is not there', async () => {
    const line = 'echo nothing | pbmanifest fragment "$1" --worker 0 --files-from - "${@:2}"'
    const { status, stdout, stderr } = await shell(line, directory, ...common())
    expect({ status, stdout }).toEqual({ status: 5, stdout: '' })
    expect(stderr).toMatch(/^pbmanifest: error: [^]*nothing/)
    expect(readdirSync(scratch.path)).toEqual(['data'])
  })

  test('warns of what it passes over', async () => {
    await symlink('PG_VERSION', join(directory, 'link'))
    const { status, stdout, stderr } = await runCommandLine([
      'fragment',
      directory,
      '--worker=0',
      ...common(),
    ])
    expect({ status, stdout }).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('recorded 3 files'),
    })
    expect(stderr).toBe(
      'pbmanifest: warning: "link" is not a regular file or directory and was passed over\n',
    )
  })
})
