import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ChecksumCheck as ChecksumCheckClass } from '../../../src/verify/plain/checksum-check.js'
import { fileStates } from '../../../src/verify/plain/checksum-messages.js'
import { FileTable } from '../../../src/verify/file-table/file-table.js'
import type { VerifyProgress } from '../../../src/verify/options.js'
import { ProblemList } from '../../../src/verify/problems.js'
import type { Problem } from '../../../src/verify/report.js'
import type { ScanResult } from '../../../src/verify/plain/scan-directory.js'
import { poll } from '../../helpers/poll.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'

// Threads load only from what was built.
const built: string = new URL('../../../dist/src/verify/plain/checksum-check.js', import.meta.url).href
const builtTable: string = new URL('../../../dist/src/verify/file-table/file-table.js', import.meta.url).href
const { ChecksumCheck } = (await import(built)) as { readonly ChecksumCheck: typeof ChecksumCheckClass }

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

interface Outcome {
  readonly problems: readonly Problem[]
  readonly totals: { readonly filesChecked: number; readonly bytesChecked: number }
}

/** What a scan has found of one file, and has nothing to add to. */
function seen(state: number): ScanResult {
  return { states: Uint8Array.of(state), settle: async () => {} }
}

/** Checks a file that the scan has found good, whatever is there when it is read. */
async function checkAfterScan(state: number = fileStates.intact): Promise<Outcome> {
  const table = new FileTable(1000)
  table.add({
    pathname: 'PG_VERSION',
    size: 3,
    lastModified: undefined,
    checksum: { algorithm: 'CRC32C', hex: '8a744722' },
    isPathEncoded: false,
  })
  const problems = new ProblemList(undefined, false)
  const options = {
    directory: scratch.path,
    jobs: 2,
    waitingJobs: 2,
    content: undefined,
    signal: undefined,
    onProgress: undefined,
    evidence: undefined,
    maxRate: undefined,
  }
  const check = new ChecksumCheck(options, table, 1000)
  try {
    check.publish(0, 1, () => true)
    await check.finish(seen(state), problems)
    const { pagesChecked: _pages, ...totals } = check.totals
    return { problems: [...problems], totals }
  } finally {
    await check.close()
  }
}

const path = 'PG_VERSION'

test('a file that is as it should be is counted', async () => {
  writeFileSync(join(scratch.path, path), '15\n')
  expect(await checkAfterScan()).toEqual({ problems: [], totals: { filesChecked: 1, bytesChecked: 3 } })
})

test.each([
  {
    name: 'vanishes',
    content: undefined,
    problem: {
      kind: 'unreadable',
      message: 'could not open file "PG_VERSION": No such file or directory',
      errorCode: 'ENOENT',
    },
  },
  {
    name: 'shrinks',
    content: '1',
    problem: {
      kind: 'changed-while-read',
      message: 'file "PG_VERSION" should contain 3 bytes, but read 1',
      size: { expected: 3, found: 1 },
    },
  },
  {
    name: 'grows',
    content: 'x'.repeat(1_000_000),
    problem: {
      kind: 'changed-while-read',
      message: 'file "PG_VERSION" should contain 3 bytes, but read 1000000',
      size: { expected: 3, found: 1_000_000 },
    },
  },
])('a file that $name after the scan is a problem, and not counted', async ({ content, problem }) => {
  if (content !== undefined) writeFileSync(join(scratch.path, path), content)
  expect(await checkAfterScan()).toEqual({
    problems: [{ path, ...problem }],
    totals: { filesChecked: 0, bytesChecked: 0 },
  })
})

test('what the scan has reported is not reported again', async () => {
  writeFileSync(join(scratch.path, path), '16\n')
  expect(await checkAfterScan(fileStates.faulty)).toEqual({
    problems: [],
    totals: { filesChecked: 0, bytesChecked: 0 },
  })
})

test('a thread that waits to learn of the WAL is ended all the same', async () => {
  const pathname = 'base/5/16384'
  mkdirSync(join(scratch.path, 'base/5'), { recursive: true })
  const size = 8 << 20
  writeFileSync(
    join(scratch.path, pathname),
    Buffer.concat([Buffer.alloc(size - 8192), Buffer.alloc(8192, 1)]),
  )
  const table = new FileTable(1000)
  table.add({ pathname, size, lastModified: undefined, checksum: undefined, isPathEncoded: false })
  let bytesRead = 0
  const onProgress = ({ bytesDone }: VerifyProgress): void => {
    bytesRead = bytesDone
  }
  const content = { hasPageChecksums: true, hasIncrementalFiles: false, segmentPages: 131_072 }
  const options = {
    directory: scratch.path,
    jobs: 1,
    waitingJobs: 1,
    content,
    signal: undefined,
    onProgress,
    evidence: undefined,
    maxRate: undefined,
  }
  const check = new ChecksumCheck(options, table, 1000)
  check.publish(0, 1, () => true)
  const end = check.finish(seen(fileStates.intact), new ProblemList(undefined, false))
  // The last page is wrong, and whether that matters is not known as long as nobody tells.
  await poll('the file to be read', async () => bytesRead > 0)
  expect(check.totals.pagesChecked).toBe(0)
  await check.close()
  expect(await end).toBeUndefined()
})

/** Ends a check at each of these times after its start: before, while and after its threads load their engines. */
const closeAfter = (milliseconds: readonly number[]): string => `
  const { ChecksumCheck } = await import('${built}')
  const { FileTable } = await import('${builtTable}')
  for (const milliseconds of ${JSON.stringify(milliseconds)}) {
    const table = new FileTable(4000)
    for (const pathname of ['a', 'b', 'c', 'd'])
      table.add({ pathname, size: 250e6, checksum: { algorithm: 'CRC32C', hex: '8a744722' }, isPathEncoded: false })
    const check = new ChecksumCheck({ directory: '/nowhere', jobs: 4, waitingJobs: 4 }, table, 4000)
    check.publish(0, 4, () => true)
    await new Promise((resolve) => setTimeout(resolve, milliseconds))
    await check.close()
  }
  process.stdout.write('closed')`

// aws-crt, which is installed here, aborts the process when its thread is terminated while it loads.
test('ends its threads at any moment without ending the process', async () => {
  const moments = Array.from({ length: 12 }, (_, index) => index * 10)
  const program = ['--input-type=module', '--eval', closeAfter(moments)]
  const { stdout } = await promisify(execFile)(process.execPath, program)
  expect(stdout).toBe('closed')
})
