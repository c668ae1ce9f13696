import { readdir, readFile, stat, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { timelineHistoryFileName } from '../../../../src/postgres/timeline-history.js'
import {
  WalSegmentWriter,
  writeWalFile,
} from '../../../../src/transfer/client/wal-receiver/wal-segment-writer.js'
import { openFilesBelow } from '../../../helpers/open-files.js'
import { mustRun } from '../../../helpers/run-program.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'

test('a file that was fetched is there whole, with its .done, and not written twice', async () => {
  const scratch = createScratchDirectory()
  try {
    const directory = join(scratch.path, 'pg_wal')
    await mkdir(join(directory, 'archive_status'), { recursive: true })
    const options = { directory, fileMode: 0o640, sync: true }
    await writeWalFile(options, timelineHistoryFileName(2), Buffer.from('one two'))
    expect(await readFile(join(directory, '00000002.history'), 'utf8')).toBe('one two')
    expect((await stat(join(directory, '00000002.history'))).mode & 0o777).toBe(0o640)
    expect(await readdir(join(directory, 'archive_status'))).toEqual(['00000002.history.done'])
    await expect(writeWalFile(options, timelineHistoryFileName(2), Buffer.alloc(0))).rejects.toMatchObject({
      code: 'IO',
      message: `could not write file "${directory}/00000002.history": File exists`,
    })
  } finally {
    scratch.remove()
  }
})

test('a segment that cannot have its size is closed', async () => {
  const scratch = createScratchDirectory()
  try {
    const options = { directory: scratch.path, walSegmentSize: 2 ** 20, fileMode: 0o600, sync: false }
    const writer = new WalSegmentWriter(options, 1, 0n)
    await limitFiles('4096')
    await expect(writer.write(0n, Buffer.of(1))).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringMatching(/^could not create WAL file ".*": File too large$/),
    })
    await writer.close()
    expect(await openFilesBelow(scratch.path)).toEqual([])
  } finally {
    await limitFiles('unlimited')
    scratch.remove()
  }
})

/** How large files of this process may become. */
async function limitFiles(size: string): Promise<void> {
  await mustRun('prlimit', [`--pid=${process.pid}`, `--fsize=${size}:unlimited`])
}
