import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyBackup } from 'pbmanifest'
import { beforeEach, describe, expect, test } from 'vitest'
import { emptyFile, versionFile, writeSmallBackup } from '../../cli/small-backup.js'
import { useScratch } from '../../manifest/use-scratch.js'

const scratch = useScratch()
let directory: string

beforeEach(async () => {
  directory = await writeSmallBackup(scratch.path)
})

const allKnown = new Map([versionFile, emptyFile].map(({ path, checksum }) => [path, checksum]))

describe('checksums that are known', () => {
  test('are compared with the manifest, and no file is read', async () => {
    const report = await verifyBackup(directory, { noParseWal: true, knownChecksums: allKnown })
    expect(report).toMatchObject({ verdict: 'verified', filesChecked: 2, bytesChecked: 3 })
    expect(report.notChecked).toContainEqual({
      what: 'reading-again',
      why: 'checksums that were computed while the files were written are those of the manifest; the files were not read again',
    })
  })

  test('do not keep damage of the same size from being overlooked, as the report says', async () => {
    await writeFile(join(directory, versionFile.path), '16\n')
    const options = { noParseWal: true }
    const known = await verifyBackup(directory, { ...options, knownChecksums: allKnown })
    expect(known.problems).toEqual([])
    const read = await verifyBackup(directory, options)
    expect(read.problems.map(({ kind }) => kind)).toContain('checksum-mismatch')
  })

  test('that are not those of the manifest, or not there, make the file be read', async () => {
    const known = new Map([[versionFile.path, 'ffffffff']])
    const options = { noParseWal: true, knownChecksums: known }
    expect(await verifyBackup(directory, options)).toMatchObject({
      verdict: 'verified',
      filesChecked: 2,
      bytesChecked: 3,
    })
    await writeFile(join(directory, versionFile.path), '16\n')
    const { problems } = await verifyBackup(directory, options)
    expect(problems).toMatchObject([{ kind: 'checksum-mismatch', path: versionFile.path }])
  })

  test('say nothing about files that are missing or of another size', async () => {
    await rm(join(directory, emptyFile.path))
    await writeFile(join(directory, versionFile.path), '15')
    const { problems } = await verifyBackup(directory, { noParseWal: true, knownChecksums: allKnown })
    expect(problems.map(({ kind }) => kind).toSorted()).toEqual(['missing', 'size-mismatch'])
  })

  test('are not looked at when checksums are to be skipped', async () => {
    const known = new Map([[versionFile.path, 'ffffffff']])
    const options = { noParseWal: true, skipChecksums: true, knownChecksums: known }
    expect(await verifyBackup(directory, options)).toMatchObject({ filesChecked: 0 })
  })
})
