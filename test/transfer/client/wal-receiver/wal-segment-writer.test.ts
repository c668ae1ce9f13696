import { expect, test } from 'vitest'
import { WalDirectory } from '../../../../src/target/directory-target.js'
import { WalSegmentWriter } from '../../../../src/transfer/client/wal-receiver/wal-segment-writer.js'
import { openFilesBelow } from '../../../helpers/open-files.js'
import { mustRun } from '../../../helpers/run-program.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'

test('a segment that cannot have its size is closed', async () => {
  const scratch = createScratchDirectory()
  try {
    const files = new WalDirectory({ directory: scratch.path, fileMode: 0o600, sync: false })
    const options = { files, walSegmentSize: 2 ** 20 }
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
