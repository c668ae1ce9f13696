import { rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { verifyBackup } from 'pbmanifest'
import { beforeEach, expect, test } from 'vitest'
import { Yielder } from '../../../src/files/yielder.js'
import { fileStates } from '../../../src/verify/plain/checksum-messages.js'
import { FileTable } from '../../../src/verify/file-table/file-table.js'
import { IgnoreRules } from '../../../src/verify/ignore-rules.js'
import { ProblemList } from '../../../src/verify/problems.js'
import { scanDirectory, type ScanResult } from '../../../src/verify/plain/scan-directory.js'
import { formatManifest, writeTree } from '../../cli/small-backup.js'
import { makeNeededDirectories } from '../../helpers/needed-directories.js'
import { useScratch } from '../../manifest/use-scratch.js'

const scratch = useScratch()
/** Each has three bytes in the manifest. */
const listed: readonly string[] = ['a', 'b', 'd', 'e/f']
let problems: ProblemList

beforeEach(() => {
  problems = new ProblemList(undefined, false)
})

/** Writes the files, one byte in each that has a wrong size, and compares them with the manifest. */
async function scan(
  wrong: readonly string[],
  isRead?: (row: number) => boolean,
  written: readonly string[] = listed,
): Promise<ScanResult> {
  const files = written.map((pathname) => [pathname, wrong.includes(pathname) ? '1' : '15\n'] as const)
  await writeTree(scratch.path, Object.fromEntries(files))
  const table = new FileTable(1000)
  for (const pathname of listed) {
    const checksum = { algorithm: 'CRC32C', hex: '8a744722' } as const
    table.add({ pathname, size: 3, lastModified: undefined, checksum, isPathEncoded: false })
  }
  return scanDirectory({
    directory: scratch.path,
    table,
    ignore: new IgnoreRules([]),
    problems,
    yielder: new Yielder(undefined),
    isRead,
  })
}

const told = (): string[] => [...problems].map(({ kind, path }) => `${kind} ${path}`)

test('the size of a file that nobody reads is compared', async () => {
  const { states, settle } = await scan(['b'])
  expect(told()).toEqual(['size-mismatch b'])
  const { intact, faulty } = fileStates
  expect([...states]).toEqual([intact, faulty, intact, intact])
  await settle()
  expect(told()).toEqual(['size-mismatch b'])
})

test('a regular file that threads read is left to them, until there is a problem to report', async () => {
  const { states, settle } = await scan(['b'], () => true)
  expect(told()).toEqual([])
  expect([...states]).toEqual(listed.map(() => fileStates.regular))
  await settle()
  expect(told()).toEqual(['size-mismatch b'])
  const { intact, faulty } = fileStates
  expect([...states]).toEqual([intact, faulty, intact, intact])
})

test('what a thread has said of a file is not looked at again', async () => {
  const { states, settle } = await scan(['a', 'b'], () => true)
  states[0] = fileStates.intact
  await settle()
  expect(told()).toEqual(['size-mismatch b'])
})

test('what is to be reported comes after the sizes of the files before it, and those after it stay with the threads', async () => {
  await writeTree(scratch.path, { c: 'extra' })
  const { settle } = await scan(['b', 'd', 'e/f'], () => true)
  expect(told()).toEqual(['size-mismatch b', 'extra c'])
  await settle()
  expect(told()).toEqual(['size-mismatch b', 'extra c', 'size-mismatch d', 'size-mismatch e/f'])
})

test('a file that is gone when its size is looked at could not be looked at', async () => {
  const { states, settle } = await scan([], () => true)
  rmSync(join(scratch.path, 'd'))
  await settle()
  expect(told()).toEqual(['unreadable d'])
  expect(states[2]).toBe(0)
})

test.each([
  { what: 'a file', target: 'e/f', state: fileStates.intact, said: [] },
  { what: 'a device', target: '/dev/zero', state: fileStates.faulty, said: ['not-a-file a'] },
])('a link to $what is followed before anybody opens it', async ({ target, state, said }) => {
  symlinkSync(target, join(scratch.path, 'a'))
  const { states } = await scan([], () => true, ['b', 'd', 'e/f'])
  expect(states[0]).toBe(state)
  expect(told()).toEqual(said)
})

test('a report has its order with any number of threads', async () => {
  const size = 3
  const checksum = '8a744722'
  const names = Array.from({ length: 4100 }, (_, number) => `base/1/${10_000 + number}`)
  const missing = names.splice(100, 1)
  await makeNeededDirectories(scratch.path)
  const contents = new Map(['PG_VERSION', ...names].map((path) => [path, '15\n']))
  contents.set('base/1/10050', '1').set('base/1/12000', '16\n').set('base/1/13000', '15\n\n')
  contents.set('base/1/12500x', 'extra')
  const paths = [...missing, ...names.toReversed(), 'PG_VERSION']
  const manifest = formatManifest(paths.map((path) => ({ path, size, checksum })))
  await writeTree(scratch.path, { ...Object.fromEntries(contents), backup_manifest: manifest })
  for (const jobs of [1, 2, 4]) {
    const { problems, filesChecked } = await verifyBackup(scratch.path, { jobs, noParseWal: true })
    expect(problems.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'size-mismatch base/1/10050',
      'extra base/1/12500x',
      'size-mismatch base/1/13000',
      'missing base/1/10100',
      'checksum-mismatch base/1/12000',
    ])
    expect(filesChecked).toBe(4098)
  }
})
