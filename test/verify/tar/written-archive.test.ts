import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyBackup, type VerifyOptions, type VerifyReport, type WrittenArchives } from 'pbmanifest'
import { beforeEach, describe, expect, test } from 'vitest'
import { emptyFile, versionFile } from '../../cli/small-backup.js'
import { tarArchive, tarMember } from '../../files/tar/make-tar.js'
import { useScratch } from '../../manifest/use-scratch.js'
import { everNeededDirectories } from '../../../src/postgres/data-directory.js'
import { empty, intactArchives, version, writeSmallTarBackup } from './small-tar-backup.js'

const scratch = useScratch()
let directory: string

const remotePath = 'pg_tblspc/16385/PG_15_202209061/5/16390'
const checksums = new Map([
  [versionFile.path, versionFile.checksum],
  [emptyFile.path, emptyFile.checksum],
  [remotePath, '2fa33cba'],
])

const written: WrittenArchives = {
  sizes: new Map(Object.entries(intactArchives).map(([name, bytes]) => [name, bytes.length])),
  files: [
    { pathname: 'PG_VERSION', size: 3, content: Buffer.from('15\n') },
    { pathname: emptyFile.path, size: 0, content: undefined },
    { pathname: remotePath, size: 6, content: undefined },
  ],
  directories: [...everNeededDirectories, 'pg_tblspc/16385', 'pg_tblspc/16385/PG_15_202209061'],
}

beforeEach(async () => {
  directory = await writeSmallTarBackup(scratch.path, intactArchives)
})

async function verify(options: VerifyOptions = {}): Promise<VerifyReport> {
  return await verifyBackup(directory, { noParseWal: true, ...options })
}

async function verifyWritten(options: VerifyOptions = {}): Promise<VerifyReport> {
  return await verify({ knownChecksums: checksums, writtenArchives: written, ...options })
}

/** Another byte in the only large file, or wherever it is. */
async function damage(name: string, from: string, to: string): Promise<void> {
  const path = join(directory, name)
  const bytes = await readFile(path)
  bytes.write(to, bytes.indexOf(from))
  await writeFile(path, bytes)
}

function kindsOf({ problems }: VerifyReport): string[] {
  return problems.map(({ kind }) => kind).toSorted()
}

describe('archives of which it is known what they were given', () => {
  test('are compared with the manifest as a directory is whose checksums are known, and not read', async () => {
    const report = await verifyWritten()
    expect(report).toMatchObject({
      verdict: 'verified',
      checksumsFrom: 'copying',
      filesChecked: 3,
      bytesChecked: 9,
      engines: {},
    })
    expect(report.notChecked.map(({ what }) => what)).toEqual(
      expect.arrayContaining(['reading-again', 'page-checksums']),
    )
    const read = await verify()
    expect(kindsOf(report)).toEqual(kindsOf(read))
    expect(read).toMatchObject({ filesChecked: 3, bytesChecked: 9, checksumsFrom: 'files' })
  })

  test('may have been damaged since, which is found when they are read, as the report says', async () => {
    await damage('16385.tar', '15\n15\n', '15\n16\n')
    expect(kindsOf(await verifyWritten())).toEqual([])
    expect(await verify()).toMatchObject({
      verdict: 'failed',
      problems: [{ kind: 'checksum-mismatch', path: remotePath, archive: '16385.tar' }],
    })
  })

  test('are read when they were given another byte than the manifest says', async () => {
    await damage('16385.tar', '15\n15\n', '15\n16\n')
    const given = new Map([...checksums, [remotePath, '12345678']])
    expect(await verifyWritten({ knownChecksums: given })).toMatchObject({
      problems: [{ kind: 'checksum-mismatch', path: remotePath, archive: '16385.tar' }],
    })
  })

  test('are good when only what is known of them is wrong', async () => {
    const given = new Map([[versionFile.path, 'ffffffff']])
    expect(await verifyWritten({ knownChecksums: given })).toMatchObject({
      verdict: 'verified',
      filesChecked: 3,
      bytesChecked: 9,
    })
  })

  test.each<{ what: string; files: WrittenArchives['files']; base: Buffer; kinds: string[] }>([
    {
      what: 'a file less',
      files: written.files.slice(1),
      base: tarArchive(empty),
      kinds: ['missing'],
    },
    {
      what: 'a file more',
      files: [...written.files, { pathname: 'x', size: 1, content: undefined }],
      base: tarArchive(version, empty, tarMember({ name: 'x' }, '1')),
      kinds: ['extra'],
    },
    {
      what: 'a file twice',
      files: [...written.files, { pathname: emptyFile.path, size: 0, content: undefined }],
      base: tarArchive(version, empty, tarMember({ name: emptyFile.path })),
      kinds: ['duplicate'],
    },
    {
      what: 'a file of another size',
      files: [{ pathname: 'PG_VERSION', size: 2, content: Buffer.from('15') }, ...written.files.slice(1)],
      base: tarArchive(tarMember({ name: 'PG_VERSION' }, '15'), empty),
      kinds: ['size-mismatch'],
    },
  ])('are found to have $what', async ({ files, base, kinds }) => {
    await writeFile(join(directory, 'base.tar'), base)
    const sizes = new Map([...written.sizes, ['base.tar', base.length]])
    const report = await verifyWritten({ writtenArchives: { ...written, sizes, files } })
    expect(kindsOf(report)).toEqual(expect.arrayContaining(kinds))
    expect(kindsOf(report)).toEqual(kindsOf(await verify()))
  })

  test('are read when they are not as long as they were', async () => {
    await truncate(join(directory, '16385.tar'), 600)
    expect(kindsOf(await verifyWritten())).toEqual(expect.arrayContaining(['bad-archive']))
  })

  test('lack a directory that was not handed to them', async () => {
    const directories = written.directories.filter((name) => name !== 'pg_notify')
    const report = await verifyWritten({ writtenArchives: { ...written, directories } })
    const more = report.problems.filter(({ path }) => path === 'pg_notify')
    expect(more).toHaveLength(1)
  })

  test('are read when the bytes of a small file are not known', async () => {
    const files = written.files.map((file) => ({ ...file, content: undefined }))
    await damage('base.tar', '15\n', '16\n')
    const report = await verifyWritten({ writtenArchives: { ...written, files } })
    expect(kindsOf(report)).toEqual(expect.arrayContaining(['checksum-mismatch']))
  })
})
