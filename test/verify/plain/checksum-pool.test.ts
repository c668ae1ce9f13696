import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)

/** Ends a pool at each of these times after its start: before, while and after its threads load their engines. */
const closeAfter = (milliseconds: readonly number[]): string => `
  const verify = (file) => import(new URL('../../../dist/src/verify/' + file, ${JSON.stringify(import.meta.url)}))
  const { ChecksumPool } = await verify('plain/checksum-pool.js')
  const { WorkQueue } = await verify('plain/work-queue.js')
  const { FileTable } = await verify('file-table/file-table.js')
  for (const milliseconds of ${JSON.stringify(milliseconds)}) {
    const queue = WorkQueue.allocate(8)
    queue.publish([0, 0, 0, 0], 1e9)
    const start = { directory: '/nowhere', table: new FileTable(1000).buffers, queue: queue.buffers }
    const pool = new ChecksumPool(start, 4)
    pool.growFor(1e6, 1e9)
    await new Promise((resolve) => setTimeout(resolve, milliseconds))
    await pool.close()
  }
  process.stdout.write('closed')`

// aws-crt, which is installed here, aborts the process when its thread is terminated while it loads.
test('ends its threads at any moment without ending the process', async () => {
  const moments = Array.from({ length: 12 }, (_, index) => index * 10)
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', closeAfter(moments)])
  expect(stdout).toBe('closed')
})
