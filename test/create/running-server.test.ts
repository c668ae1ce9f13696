import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findRunningServer, findSharedTablespace } from '../../src/create/running-server.js'
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

test('a tablespace to which the cluster leads, too, is not that of a copy', () => {
  const [cluster, copy, tablespace, own] = ['cluster', 'copy', 'tablespace', 'own'].map((name) => {
    const directory = join(scratch.path, name)
    mkdirSync(directory)
    return directory
  }) as [string, string, string, string]
  writePidFile(cluster, 1)
  expect(findSharedTablespace(copy)).toBe(undefined)
  writePidFile(copy, 1, cluster)
  expect(findSharedTablespace(copy)).toBe(undefined)
  for (const directory of [cluster, copy]) {
    mkdirSync(join(directory, 'pg_tblspc'))
    symlinkSync(tablespace, join(directory, 'pg_tblspc/16384'))
  }
  expect(findSharedTablespace(copy)).toEqual({ oid: '16384', dataDirectory: cluster })
  // Its own are those of the cluster.
  expect(findSharedTablespace(cluster)).toBe(undefined)
  rmSync(join(copy, 'pg_tblspc/16384'))
  symlinkSync(own, join(copy, 'pg_tblspc/16384'))
  expect(findSharedTablespace(copy)).toBe(undefined)
})

test.each(['', 'x\n', '0\n/\n', '12345678901\n/\n'])('a file %j names no process', (text) => {
  writeFileSync(join(scratch.path, 'postmaster.pid'), text)
  expect(findRunningServer(scratch.path)).toBe(undefined)
})
