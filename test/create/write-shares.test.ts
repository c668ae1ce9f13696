import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { pathOf } from '../../src/files/pathname.js'
import { createBackupId } from '../../src/manifest/fragment/backup-id.js'
import { packShares, unpackShare, type WritingMessage, writeShares } from '../../src/create/write-shares.js'
import { Claims } from '../../src/threads/claims.js'
import { arbitraryPathname } from '../manifest/arbitrary-manifest.js'
import { useScratch } from '../manifest/use-scratch.js'

const scratch = useScratch()

const arbitraryShares = fc.array(
  fc.array(fc.record({ pathname: arbitraryPathname, size: fc.maxSafeNat() }), { maxLength: 5 }),
  { maxLength: 4 },
)

test('shares are the same behind the memory that threads share', () => {
  fc.assert(
    fc.property(arbitraryShares, (shares) => {
      const packed = packShares(shares)
      expect(shares.map((_, share) => unpackShare(packed, share))).toEqual(shares)
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
    shares: packShares(names.map((pathname) => [{ pathname, size: 1 }])),
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
