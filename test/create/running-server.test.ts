import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findRunningServer } from '../../src/create/running-server.js'
import { useScratch } from '../manifest/use-scratch.js'

const scratch = useScratch()

function writePidFile(directory: string, pid: number | string, dataDirectory = directory): void {
  writeFileSync(join(directory, 'postmaster.pid'), `${pid}\n${dataDirectory}\n1764278400\n5432\n/tmp\n\n`)
}

test('a process that works in the directory is its server, by whatever path', async () => {
  const directory = join(scratch.path, 'data')
  const other = join(scratch.path, 'other')
  mkdirSync(directory)
  mkdirSync(other)
  symlinkSync(directory, join(scratch.path, 'link'))
  expect(findRunningServer(directory)).toBe(undefined)
  const child = spawn('sleep', ['600'], { cwd: directory })
  await once(child, 'spawn')
  const pid = child.pid ?? 0
  try {
    writePidFile(directory, pid, '/var/lib/elsewhere')
    expect(findRunningServer(directory)).toBe(pid)
    expect(findRunningServer(join(scratch.path, 'link'))).toBe(pid)
    writePidFile(directory, `-${pid}`)
    expect(findRunningServer(directory)).toBe(pid)
    // A copy has the file of a server that works elsewhere.
    writePidFile(other, pid, directory)
    expect(findRunningServer(other)).toBe(undefined)
  } finally {
    child.kill('SIGKILL')
    await once(child, 'close')
  }
  expect(findRunningServer(directory)).toBe(undefined)
})

test.each(['', 'x\n', '0\n/\n', '12345678901\n/\n'])('a file %j names no process', (text) => {
  writeFileSync(join(scratch.path, 'postmaster.pid'), text)
  expect(findRunningServer(scratch.path)).toBe(undefined)
})
