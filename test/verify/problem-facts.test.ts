import { appendFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Problem, ProblemFacts, ProblemKind, VerifyReport } from 'pbmanifest'
import { expect, test } from 'vitest'
import { createFileHasher } from '../../src/manifest/checksum/create-file-hasher.js'
import { pageChecksum } from '../../src/postgres/data-page/page-checksum.js'
import { PAGE_SIZE, pageOffsets } from '../../src/postgres/data-page/page-layout.js'
import { validatorOf } from '../../src/schemas/validator.js'
import { pbmanifest } from '../cli/pbmanifest.js'
import { emptyFile, formatManifest, versionFile, writeTree } from '../cli/small-backup.js'
import { tarArchive, tarMember } from '../files/tar/make-tar.js'
import { makeNeededDirectories } from '../helpers/needed-directories.js'
import { useScratch } from '../manifest/use-scratch.js'
import { directories, empty, intactArchives, version, writeSmallTarBackup } from './tar/small-tar-backup.js'

const scratch = useScratch()

async function checksumOf(bytes: Buffer): Promise<string> {
  const hasher = await createFileHasher('CRC32C')
  hasher.reset()
  hasher.update(bytes)
  return hasher.digest()
}

function withoutWords({ kind: _kind, message: _message, detail: _detail, ...facts }: Problem): ProblemFacts {
  return facts
}

/** The problems of a backup that has some, without their words, by kind. */
async function verify(...args: readonly string[]): Promise<Partial<Record<ProblemKind, ProblemFacts[]>>> {
  const { status, stdout } = await pbmanifest(['verify', '--output=json', ...args])
  expect(status).toBe(1)
  const report = JSON.parse(stdout) as VerifyReport
  expect(validatorOf('verify-report')(report)).toBeUndefined()
  return Object.fromEntries(
    report.problems.map(({ kind }) => [
      kind,
      report.problems.filter((problem) => problem.kind === kind).map(withoutWords),
    ]),
  )
}

/** A page with its checksum. */
function pageOf(block: number): Buffer {
  const page = Buffer.alloc(PAGE_SIZE, block + 1)
  page.writeUInt32LE(0, pageOffsets.lsn)
  page.writeUInt32LE(0x1000028, pageOffsets.lsn + 4)
  page.writeUInt16LE(PAGE_SIZE, pageOffsets.upper)
  page.writeUInt16LE(pageChecksum(page, 0, block), pageOffsets.checksum)
  return page
}

test('what is wrong with the files of a directory is there as values, not only in words', async () => {
  const directory = join(scratch.path, 'backup')
  await makeNeededDirectories(directory)
  const pages = Array.from({ length: 9 }, (_, block) => pageOf(block))
  const good = Buffer.concat(pages)
  for (const page of pages.slice(1)) page.writeUInt8(page.readUInt8(5000) ^ 1, 5000)
  const damaged = Buffer.concat(pages)
  const relation = 'base/1/16385'
  const long = { path: 'base/1/16386', size: 5, checksum: '00000000' }
  const link = { path: 'base/1/16387', size: 5, checksum: '00000000' }
  const checksum = await checksumOf(good)
  const listed = [versionFile, emptyFile, { path: relation, size: good.length, checksum }, long, link]
  await writeTree(directory, { PG_VERSION: '16\n', extra: 'four', [long.path]: '7 bytes' })
  await writeFile(join(directory, relation), damaged)
  await symlink('16387', join(directory, link.path))
  await writeFile(join(directory, 'backup_manifest'), formatManifest(listed))

  const problems = await verify('--page-checksums', directory)
  expect(problems).toMatchObject({
    missing: [{ path: 'base/1/16384', size: { expected: 0 } }],
    extra: [{ path: 'extra', size: { found: 4 } }],
    'size-mismatch': [{ path: long.path, size: { expected: 5, found: 7 } }],
    unreadable: [{ path: link.path, errorCode: 'ELOOP' }],
    'wal-missing': [{ timeline: 1, range: { startLsn: '0/2000028', endLsn: '0/2000100' } }],
  })
  const { 'checksum-mismatch': mismatches = [], 'page-checksum': blocks = [] } = problems
  expect(mismatches).toContainEqual({
    path: relation,
    checksum: { algorithm: 'CRC32C', expected: checksum, found: await checksumOf(damaged) },
  })
  expect(mismatches).toContainEqual({
    path: 'PG_VERSION',
    checksum: { algorithm: 'CRC32C', expected: '8a744722', found: await checksumOf(Buffer.from('16\n')) },
  })
  // Five are named, the others listed.
  expect(blocks).toHaveLength(6)
  expect(blocks[0]).toEqual({
    path: relation,
    block: 1,
    lsn: '0/1000028',
    pageChecksum: {
      calculated: pageChecksum(damaged, PAGE_SIZE, 1).toString(16).toUpperCase(),
      stored: damaged
        .readUInt16LE(PAGE_SIZE + pageOffsets.checksum)
        .toString(16)
        .toUpperCase(),
    },
  })
  expect(blocks[5]).toEqual({ path: relation, furtherBlocks: 3, blocks: [6, 7, 8] })
})

test('what is wrong in archives is, with the archive', async () => {
  const directory = await writeSmallTarBackup(scratch.path, {
    ...intactArchives,
    'base.tar': tarArchive(
      tarMember({ name: './PG_VERSION' }, '16\n'),
      ...directories,
      tarMember({ name: './base/1/16384' }, 'x'),
      tarMember({ name: './extra' }, 'four'),
      tarMember({ name: 'out', typeflag: '2', target: '/etc' }),
      tarMember({ name: 'pg_tblspc/16385/PG_15_202209061/5/16390' }, '15\n15\n'),
    ),
  })
  await appendFile(join(directory, '16386.tar'), 'no archive')
  const archive = 'base.tar'
  expect(await verify('-n', directory)).toEqual({
    'checksum-mismatch': [
      {
        path: 'PG_VERSION',
        archive,
        checksum: { algorithm: 'CRC32C', expected: '8a744722', found: await checksumOf(Buffer.from('16\n')) },
      },
    ],
    'size-mismatch': [
      { path: 'base/1/16384', archive, member: './base/1/16384', size: { expected: 0, found: 1 } },
    ],
    extra: [{ path: 'extra', archive, member: './extra', size: { found: 4 } }],
    'bad-archive': [
      { path: archive, archive, member: 'out', target: '/etc' },
      { path: '16386.tar', archive: '16386.tar' },
    ],
    duplicate: [
      {
        path: 'pg_tblspc/16385/PG_15_202209061/5/16390',
        archive,
        otherArchive: '16385.tar',
      },
    ],
  })
})

test('so is what the system refuses', async () => {
  const directory = await writeSmallTarBackup(scratch.path, {
    ...intactArchives,
    'base.tar': tarArchive(version, empty),
  })
  await rm(join(directory, '16385.tar'))
  await symlink('16385.tar', join(directory, '16385.tar'))
  expect(await verify('-n', directory)).toMatchObject({
    unreadable: [{ path: '16385.tar', errorCode: 'ELOOP' }],
    missing: [{ path: 'pg_tblspc/16385/PG_15_202209061/5/16390', size: { expected: 6 } }],
  })
})
