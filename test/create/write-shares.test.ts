import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { pathOf } from '../../src/files/pathname.js'
import { createBackupId } from '../../src/manifest/fragment/backup-id.js'
import { filesOfShare, type PlannedShares, PlannedFiles } from '../../src/create/planned-files.js'
import { type WritingMessage, writeShares } from '../../src/create/write-shares.js'
import { Yielder } from '../../src/files/yielder.js'
import { type PlannedFile, planShares } from '../../src/manifest/fragment/fragment-files.js'
import { Claims } from '../../src/threads/claims.js'
import { arbitraryPathname } from '../manifest/arbitrary-manifest.js'
import { useScratch } from '../manifest/use-scratch.js'

const scratch = useScratch()

/** Each with a share of its own: none is larger than another. */
async function sharesOf(files: readonly PlannedFile[], workers: number): Promise<PlannedShares> {
  const planned = new PlannedFiles()
  for (const file of files) planned.add(file)
  expect(planned).toMatchObject({
    count: files.length,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
  })
  return await planned.divide(workers, new Yielder(undefined))
}

test('shares are those that workers plan who do not talk to each other, behind the memory that threads share', async () => {
  const files = fc.uniqueArray(
    // Where characters and their bytes have the same order.
    fc.record({
      pathname: fc.string({ unit: 'grapheme-ascii', minLength: 1 }),
      size: fc.oneof(fc.constant(0), fc.nat(9), fc.nat()),
    }),
    { selector: ({ pathname }) => pathname, maxLength: 30 },
  )
  await fc.assert(
    fc.asyncProperty(files, fc.integer({ min: 1, max: 4 }), async (files, workers) => {
      const packed = await sharesOf(files, workers)
      const shares = Array.from({ length: workers }, (_, share) => [...filesOfShare(packed, share)])
      expect(shares).toEqual(planShares(files, workers))
    }),
  )
})

test('every pathname is in a share', async () => {
  const pathnames = fc.uniqueArray(arbitraryPathname, { maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(pathnames, async (pathnames) => {
      const packed = await sharesOf(
        pathnames.map((pathname) => ({ pathname, size: 1 })),
        3,
      )
      const found = [0, 1, 2].flatMap((share) => [...filesOfShare(packed, share)])
      expect(found.map(({ pathname }) => pathname).toSorted()).toEqual(pathnames.toSorted())
    }),
  )
})

async function write(names: readonly string[]): Promise<WritingMessage[]> {
  const messages: WritingMessage[] = []
  const start = {
    directory: scratch.path,
    fragmentDirectory: scratch.path,
    backupId: createBackupId(),
    checksumAlgorithm: 'CRC32C',
    shares: await sharesOf(
      names.map((pathname) => ({ pathname, size: 1 })),
      names.length,
    ),
    claims: new Claims().buffer,
    bytesDone: new SharedArrayBuffer(8),
  } as const
  await writeShares(start, (message) => messages.push(message))
  return messages
}

test('each share becomes a fragment, and one that cannot be read leaves none', async () => {
  for (const name of ['a', 'b\udcff']) writeFileSync(pathOf(scratch.path, name), 'x')
  expect(await write(['a', 'b\udcff', 'none'])).toEqual([
    { type: 'written', files: 1 },
    { type: 'written', files: 1 },
    {
      type: 'failed',
      code: 'IO',
      message: 'could not record 1 of 1 files',
      details: ['"none": vanished while the directory was read'],
      hint: 'Nothing may change the directory while its fragments are written.',
    },
  ])
  expect(readdirSync(scratch.path).filter((name) => name.startsWith('backup_manifest_'))).toHaveLength(2)
})

test('a file that is not as it was planned leaves no fragment', async () => {
  writeFileSync(join(scratch.path, 'a'), 'xy')
  expect(await write(['a'])).toMatchObject([
    { type: 'failed', details: ['"a": changed size from 1 to 2 bytes while it was read'] },
  ])
})
