import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyBackup, type VerifyReport } from 'pbmanifest'
import { describe, expect, test } from 'vitest'
import { formatManifestFile } from '../../src/manifest/manifest-parts.js'
import { mergeFragments } from '../../src/manifest/merge/merge-fragments.js'
import { crc32c } from '../../src/postgres/crc32c.js'
import { makeNeededDirectories } from '../helpers/needed-directories.js'
import { writeFragmentFile } from '../manifest/fragment-text.js'
import { useScratch } from '../manifest/use-scratch.js'
import { controlFileBytes } from '../postgres/control-file-bytes.js'
import { mainData, WalWriter } from '../postgres/wal/wal-writer.js'

const scratch = useScratch()
const segmentSize = 16 * 1024 * 1024

interface Made {
  readonly major: number
  readonly controlVersion: number
  readonly pageMagic?: number
  /** Of data checksums, in pg_control and in its checkpoint. */
  readonly states?: readonly [now: number, atCheckpoint: number]
  /** The WAL switches them. */
  readonly switchesChecksums?: boolean
}

function checksumsAt(controlVersion: number): number {
  if (controlVersion < 1900) return 252
  return controlVersion === 1902 ? 264 : 268
}

/** A backup by the layouts alone: pg_control, one page without its checksum, and WAL of one record. */
async function makeBackup({
  major,
  controlVersion,
  pageMagic = 0xd122,
  states: [now, atCheckpoint] = [1, 1],
  switchesChecksums,
}: Made): Promise<string> {
  const directory = join(scratch.path, 'backup')
  await makeNeededDirectories(directory)
  mkdirSync(join(directory, 'base', '5'), { recursive: true })
  writeFileSync(join(directory, 'PG_VERSION'), `${major}\n`)
  const control = controlFileBytes(controlVersion, (bytes) => {
    bytes.writeUInt32LE(1, 48)
    bytes.writeUInt32LE(atCheckpoint, 132)
    bytes.writeUInt32LE(now, checksumsAt(controlVersion))
  })
  writeFileSync(join(directory, 'global', 'pg_control'), control)
  const page = Buffer.alloc(8192, 'x')
  page.writeBigUInt64LE(1n, 0)
  writeFileSync(join(directory, 'base', '5', '1259'), page)
  const wal = new WalWriter(segmentSize, BigInt(segmentSize), { pageMagic, overwriteBit: 4 })
  wal.write({ body: mainData(Buffer.alloc(100)) })
  if (switchesChecksums === true) wal.write({ body: mainData(Buffer.alloc(4)), resourceManager: 22, info: 0 })
  writeFileSync(join(directory, 'pg_wal', '000000010000000000000001'), wal.bytes)
  const lines = ['PG_VERSION', 'global/pg_control', 'base/5/1259'].map((name) => lineOf(directory, name))
  const fragment = writeFragmentFile(scratch.path, { lines })
  await mergeFragments({
    fragments: [fragment],
    output: join(directory, 'backup_manifest'),
    systemIdentifier: wal.systemIdentifier,
    walRanges: [{ timeline: 1, startLsn: BigInt(segmentSize), endLsn: wal.endLsn }],
  })
  rmSync(fragment)
  return directory
}

function lineOf(directory: string, pathname: string): string {
  const bytes = readFileSync(join(directory, pathname))
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32LE(crc32c(bytes))
  return formatManifestFile({
    pathname,
    size: bytes.length,
    lastModified: '2026-01-02 03:04:05 GMT',
    checksum: { algorithm: 'CRC32C', hex: checksum.toString('hex') },
    isPathEncoded: false,
  })
}

/** What was left out, but for what no such backup has. */
function reasons({ notChecked }: VerifyReport): Record<string, string> {
  const left = notChecked.filter(({ what }) => !['backup-label', 'needed-directories'].includes(what))
  return Object.fromEntries(left.map(({ what, why }) => [what, why]))
}

const unknownLayout = 'this version does not know its layout'

describe('a version that came after this program is not damage', () => {
  test.each<[string, Made, Record<string, unknown>]>([
    [
      'of the cluster',
      { major: 20, controlVersion: 2000, pageMagic: 0xd130 },
      {
        'control-file': unknownLayout,
        'page-checksums': expect.stringContaining('unexpected control file version 2000'),
        'wal-records': 'this version does not know the WAL of PostgreSQL 20',
      },
    ],
    [
      'of the control file, of a build of 19 that is not known',
      { major: 19, controlVersion: 1906 },
      {
        'control-file': unknownLayout,
        'page-checksums': expect.stringContaining('unexpected control file version 1906'),
      },
    ],
    [
      'of WAL, of a build of 19 that is not known',
      { major: 19, controlVersion: 1905, pageMagic: 0xd123, states: [0, 0] },
      {
        'page-checksums': 'data checksums are not enabled in the cluster',
        'wal-records': 'this version does not know WAL with magic number D123',
      },
    ],
  ])('%s', async (_, made, left) => {
    const report = await verifyBackup(await makeBackup(made))
    expect(report).toMatchObject({ verdict: 'verified', problems: [] })
    expect(reasons(report)).toEqual(left)
  })

  test.each<[string, Made, string]>([
    [
      'a control file of a version that no server of 18 writes',
      { major: 18, controlVersion: 1801, pageMagic: 0xd118 },
      'unexpected control file version 1801',
    ],
    [
      'WAL of 18 in a cluster of 19',
      { major: 19, controlVersion: 1905, pageMagic: 0xd118, states: [0, 0] },
      'WAL parsing failed for timeline 1',
    ],
    [
      'WAL of 19 in a cluster of 18',
      { major: 18, controlVersion: 1800, pageMagic: 0xd122, states: [0, 0] },
      'WAL parsing failed for timeline 1',
    ],
  ])('but %s is', async (_, made, message) => {
    const { problems } = await verifyBackup(await makeBackup(made))
    expect(problems.map((problem) => problem.message)).toEqual([expect.stringContaining(message)])
  })
})

describe('WAL and pg_control of PostgreSQL 19', () => {
  test.each([
    [1902, 0xd120],
    [1903, 0xd121],
    [1905, 0xd122],
  ])('of version %d are checked', async (controlVersion, pageMagic) => {
    const made = { major: 19, controlVersion, pageMagic, states: [1, 1] } as const
    const directory = await makeBackup(made)
    const report = await verifyBackup(directory, { pageChecksums: 'off' })
    expect(report).toMatchObject({ verdict: 'verified', problems: [], walRecords: 1 })
    expect(reasons(report)).toEqual({ 'page-checksums': 'skipped on request' })
  })
})

describe('a page without its checksum', () => {
  test.each([
    [1903, [1, 1]],
    [1905, [1, 0]],
  ] as const)(
    'is a problem when data checksums are on, in version %d in states %j',
    async (version, states) => {
      const made = {
        major: 19,
        controlVersion: version,
        pageMagic: version === 1903 ? 0xd121 : 0xd122,
        states,
      }
      const { problems } = await verifyBackup(await makeBackup(made))
      expect(problems.map(({ kind, path }) => [kind, path])).toEqual([['page-checksum', 'base/5/1259']])
    },
  )

  test.each([
    [1903, [0, 0], 'data checksums are not enabled in the cluster'],
    [1903, [1, 0], 'data checksums were not yet on at the checkpoint of the backup'],
    [1903, [1, 3], 'data checksums were not yet on at the checkpoint of the backup'],
    [1903, [2, 1], 'data checksums were being switched off'],
    [1903, [3, 0], 'data checksums were being switched on'],
    [1905, [9, 0], 'what data checksum version 9 means is not known'],
  ] as const)('is none in version %d in states %j', async (controlVersion, states, why) => {
    const pageMagic = controlVersion === 1903 ? 0xd121 : 0xd122
    const directory = await makeBackup({ major: 19, controlVersion, pageMagic, states })
    const report = await verifyBackup(directory)
    expect(report).toMatchObject({ verdict: 'verified', problems: [] })
    expect(reasons(report)).toEqual({ 'page-checksums': why })
    await expect(verifyBackup(directory, { pageChecksums: 'on' })).rejects.toMatchObject({
      code: 'USAGE',
      message: `cannot check page checksums: ${why}`,
    })
  })

  test.each([
    [1902, 0xd120],
    [1903, 0xd121],
  ])('is none in version %d when the WAL switches data checksums', async (controlVersion, pageMagic) => {
    const directory = await makeBackup({ major: 19, controlVersion, pageMagic, switchesChecksums: true })
    const why = 'data checksums were switched while the backup was taken'
    const report = await verifyBackup(directory)
    expect(report).toMatchObject({ verdict: 'verified', problems: [], walRecords: 2 })
    expect(reasons(report)).toEqual({ 'page-checksums': why })
    await expect(verifyBackup(directory, { pageChecksums: 'on' })).rejects.toMatchObject({
      code: 'USAGE',
      message: `cannot check page checksums: ${why}`,
    })
  })
})
