import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { pbmanifest } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'
import { emptyFile, formatFile, formatManifest, versionFile } from './small-backup.js'

const backupId = '00112233445566778899aabbccddeeff'
const files = [versionFile, emptyFile]
const walRange = ['--wal-range', '1,0/2000028,0/2000100']

let scratch: ScratchDirectory
let parts: readonly string[]
let output: string

async function writeFragment(worker: number, id: string): Promise<string> {
  const file = files[worker]
  if (file === undefined) throw new Error(`no file for worker ${worker}`)
  const body = `${formatFile(file)}\n`
  const checksum = createHash('sha256').update(body).digest('hex')
  const counts = `"Worker": ${worker}, "Files": 1, "Bytes": ${file.size}`
  const seal = `{ "Fragment-Version": 1, "Backup-Id": "${id}", ${counts}, "Fragment-Checksum": "${checksum}" }\n`
  const path = join(scratch.path, `backup_manifest_${backupId}.${worker}`)
  await writeFile(path, body + seal)
  return path
}

beforeEach(async () => {
  scratch = createScratchDirectory()
  parts = [await writeFragment(0, backupId), await writeFragment(1, backupId)]
  output = join(scratch.path, 'backup_manifest')
})

afterEach(() => scratch.remove())

describe('pbmanifest merge', () => {
  test('writes the manifest and says what is in it', async () => {
    expect(await pbmanifest(['merge', ...parts, '-o', output, ...walRange])).toEqual({
      status: 0,
      stdout: `merged 2 fragments: 2 files, 3 bytes, into "${output}"\n`,
      stderr: '',
    })
    expect(readFileSync(output, 'utf8')).toBe(formatManifest(files))
  })

  test('says nothing with -q', async () => {
    const args = ['merge', '-q', ...parts, `--output=${output}`, ...walRange]
    expect(await runCommandLine(args)).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test('takes numbers and LSNs as they are written', async () => {
    const id = '7711113546893945671'
    const args = [
      '--system-identifier',
      id,
      '--start-lsn=0/2000028',
      '--start-timeline=1',
      '--end-lsn',
      '0/2000100',
    ]
    expect(await runCommandLine(['merge', ...parts, '-o', output, ...args])).toMatchObject({
      status: 0,
      stderr: '',
    })
    const manifest = readFileSync(output, 'utf8')
    expect(manifest).toContain(`"System-Identifier": ${id},\n`)
    expect(manifest).toContain('{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }')
  })

  test('refuses fragments that do not fit with status 4, and writes nothing', async () => {
    const foreign = await writeFragment(1, 'f'.repeat(32))
    const before = readdirSync(scratch.path)
    const { status, stdout, stderr } = await runCommandLine(['merge', ...parts, '-o', output, ...walRange])
    expect({ status, stdout }).toEqual({ status: 4, stdout: '' })
    expect(stderr).toMatch(/^pbmanifest: error: /)
    expect(stderr).toContain(foreign)
    expect(readdirSync(scratch.path)).toEqual(before)
  })

  test('refuses what is no fragment with status 3', async () => {
    const stranger = join(scratch.path, 'stranger')
    await writeFile(stranger, 'hello\n')
    const { status, stdout, stderr } = await runCommandLine([
      'merge',
      ...parts,
      stranger,
      '-o',
      output,
      ...walRange,
    ])
    expect({ status, stdout }).toEqual({ status: 3, stdout: '' })
    expect(stderr).toContain(stranger)
  })

  test('has status 5 when the output cannot be written', async () => {
    const nowhere = join(scratch.path, 'nowhere/backup_manifest')
    const { status, stderr } = await runCommandLine(['merge', ...parts, '-o', nowhere, ...walRange])
    expect(status).toBe(5)
    expect(stderr).toMatch(/^pbmanifest: error: .*No such file or directory$/m)
  })

  test('warns of what it passes over with --allow-unsealed', async () => {
    await writeFile(parts[1] ?? '', `${formatFile(emptyFile)}\n{ "Path"`)
    const args = ['merge', ...parts, '-o', output, ...walRange]
    expect(await runCommandLine(args)).toMatchObject({ stdout: '' })
    const salvaged = await runCommandLine([...args, '--allow-unsealed'])
    expect(salvaged).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('merged 2 fragments: 2 files'),
    })
    expect(salvaged.stderr).toMatch(/^pbmanifest: warning: /)
  })
})
