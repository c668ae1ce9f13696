import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { mainFile, shell } from '../../cli/pbmanifest.js'
import { poll } from '../../helpers/poll.js'
import { runProgram } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { entry, writeFragmentFile } from '../fragment-text.js'

/** Lines in all fragments together. */
const count = 300_000
const workers = 3

let scratch: ScratchDirectory
let parts: string
let target: string
let output: string

beforeAll(async () => {
  scratch = createScratchDirectory()
  parts = join(scratch.path, 'parts')
  target = join(scratch.path, 'target')
  output = join(target, 'backup_manifest')
  await runProgram('mkdir', [parts, target])
  for (let worker = 0; worker < workers; worker++) {
    const lines = Array.from({ length: count / workers }, (_, index) => entry(`base/${worker}/${index}`))
    writeFragmentFile(parts, { worker, lines })
  }
})

afterAll(() => scratch.remove())

afterEach(() => {
  for (const name of readdirSync(target)) rmSync(join(target, name))
})

function mergeArguments(): string[] {
  return ['merge', parts, '--output', output, '--wal-range', '1,0/2000028,0/2000100']
}

function isWriting(): boolean {
  return readdirSync(target).some((name) => name.endsWith('.tmp') && statSync(join(target, name)).size > 0)
}

/** Sends a signal while the manifest is being written. */
async function mergeAndSignal(
  signal: NodeJS.Signals,
): Promise<{ status: number | null; signal: string | null }> {
  const child = spawn(process.execPath, [mainFile, ...mergeArguments()], { stdio: 'ignore' })
  const ended = new Promise<{ status: number | null; signal: string | null }>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, by) => resolve({ status, signal: by }))
  })
  await poll('the merge to write', () => Promise.resolve(isWriting()), { interval: 1 })
  child.kill(signal)
  return await ended
}

describe('pbmanifest merge', () => {
  test('writes 300000 files in a heap that could not hold them', async () => {
    const node = ['--max-old-space-size=64', mainFile, ...mergeArguments()]
    expect(await runProgram(process.execPath, node)).toMatchObject({ status: 0, stderr: '' })
    const lines = readFileSync(output, 'latin1').split('\n')
    expect(lines).toHaveLength(count + 2 + 5 + 1)
    expect(lines[2]).toBe(`${entry('base/0/0')},`)
    expect(lines[count + 1]).toBe(entry('base/2/99999'))
  })

  test('leaves nothing on a full disk, and an old manifest as it was', async () => {
    // A file may not have more than 64 KiB: writing on fails, as it does on a full disk.
    const line = `trap "" XFSZ; ulimit -f 64; pbmanifest "$@"`
    const { status, stdout, stderr } = await shell(line, ...mergeArguments())
    expect({ status, stdout }).toEqual({ status: 5, stdout: '' })
    expect(stderr).toMatch(/^pbmanifest: error: could not write file "[^"]*\.tmp": File too large$/m)
    expect(readdirSync(target)).toEqual([])
    writeFileSync(output, 'precious')
    expect(await shell(line, ...mergeArguments())).toMatchObject({ status: 5 })
    expect(readdirSync(target)).toEqual(['backup_manifest'])
    expect(readFileSync(output, 'utf8')).toBe('precious')
  })

  test('that is killed leaves no manifest under its name', async () => {
    expect(await mergeAndSignal('SIGKILL')).toEqual({ status: null, signal: 'SIGKILL' })
    expect(existsSync(output)).toBe(false)
  })

  test('that is killed leaves the old manifest as it was', async () => {
    writeFileSync(output, 'precious')
    expect(await mergeAndSignal('SIGKILL')).toEqual({ status: null, signal: 'SIGKILL' })
    expect(readFileSync(output, 'utf8')).toBe('precious')
  })

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('that gets %s leaves nothing at all', async (signal, status) => {
    expect(await mergeAndSignal(signal)).toEqual({ status, signal: null })
    expect(readdirSync(target)).toEqual([])
  })
})
