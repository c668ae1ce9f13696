import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { mergeFragments } from '../../src/manifest/merge/merge-fragments.js'
import type { BackupManifest } from '../../src/manifest/model.js'
import { parseControlFile } from '../../src/postgres/control-file.js'
import { type BackupCopy, copyBackup } from '../helpers/copy-backup.js'
import { pgVerifyBackup } from '../helpers/pg-verify-backup.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { twoTimelinesBackup } from '../helpers/two-timelines.js'
import { parseBytes } from '../manifest/parse-bytes.js'
import { comparable, writeFragments } from './write-fragments.js'

const timeout = 240_000

describeWithDebianPostgres('a backup of PostgreSQL 15 with two tablespaces', (programs) => {
  let copy: BackupCopy
  let real: BackupManifest
  let fragments: readonly string[]

  beforeAll(async () => {
    copy = await copyBackup(await realBackup(programs))
    real = parseBytes(readFileSync(copy.manifestPath))
    rmSync(copy.manifestPath)
    fragments = await writeFragments(copy.directory, copy.root)
  }, timeout)

  afterAll(() => copy.remove())

  function end(): bigint {
    const [range] = real.walRanges
    if (range === undefined) throw new Error('the real manifest has no WAL range')
    return range.endLsn
  }

  test('is accepted by pg_verifybackup with a manifest merged of four fragments', { timeout }, async () => {
    onTestFinished(() => rmSync(copy.manifestPath))
    const { directory, manifestPath } = copy
    const merged = await mergeFragments({
      fragments,
      output: manifestPath,
      workers: 4,
      pgdata: directory,
      endLsn: end(),
    })
    expect(merged).toMatchObject({ version: 1, walRanges: real.walRanges, warnings: [] })
    expect(comparable(parseBytes(readFileSync(manifestPath)).files)).toEqual(comparable(real.files))
    expect(await pgVerifyBackup(programs, [directory])).toEqual({
      status: 0,
      stdout: 'backup successfully verified\n',
      stderr: '',
    })
  })

  test.each(['SHA224', 'SHA256', 'SHA384', 'SHA512', 'NONE'] as const)(
    'is accepted with checksums of algorithm %s',
    { timeout },
    async (algorithm) => {
      onTestFinished(() => rmSync(copy.manifestPath))
      const parts = await writeFragments(copy.directory, copy.root, algorithm)
      await mergeFragments({
        fragments: parts,
        output: copy.manifestPath,
        pgdata: copy.directory,
        endLsn: end(),
      })
      expect(await pgVerifyBackup(programs, [copy.directory])).toMatchObject({ status: 0, stderr: '' })
    },
  )

  test('is at odds with what is said of another cluster', async () => {
    const { directory, root } = copy
    const { systemIdentifier } = parseControlFile(
      readFileSync(join(directory, 'global/pg_control')),
      'pg_control',
    )
    const [range] = real.walRanges
    const merge = mergeFragments({
      fragments,
      output: join(root, 'other_manifest'),
      pgdata: directory,
      systemIdentifier: systemIdentifier + 1n,
      startLsn: 0x28n,
      startTimeline: 7,
      endLsn: end(),
    })
    await expect(merge).rejects.toMatchObject({
      code: 'CANNOT_MERGE',
      details: expect.arrayContaining([
        `system identifier ${systemIdentifier + 1n} was given, but the data directory says ${systemIdentifier}`,
        expect.stringMatching(/^start LSN 0\/28 was given, but the data directory says 0\/[0-9A-F]+$/),
        `start timeline 7 was given, but the data directory says ${range?.timeline}`,
      ]),
    })
  })

  test('is at odds with WAL ranges that begin elsewhere', async () => {
    const output = join(copy.root, 'other_manifest')
    const walRanges = [{ timeline: 9, startLsn: 0x28n, endLsn: end() }]
    await expect(
      mergeFragments({ fragments, output, pgdata: copy.directory, walRanges }),
    ).rejects.toMatchObject({
      code: 'CANNOT_MERGE',
      details: [
        expect.stringMatching(/^start LSN 0\/28 was given, but the data directory says /),
        'start timeline 9 was given, but the data directory says 1',
      ],
    })
  })

  test('does not know its end by itself', async () => {
    const output = join(copy.root, 'other_manifest')
    await expect(mergeFragments({ fragments, output, pgdata: copy.directory })).rejects.toMatchObject({
      code: 'CANNOT_MERGE',
      message: 'could not merge fragments: the end LSN is not known',
    })
  })

  test('with a damaged pg_control is refused for that', async () => {
    const path = join(copy.directory, 'global/pg_control')
    const intact = readFileSync(path)
    onTestFinished(() => writeFileSync(path, intact))
    const damaged = Buffer.from(intact)
    damaged.writeUInt8(damaged.readUInt8(3) ^ 1, 3)
    writeFileSync(path, damaged)
    const output = join(copy.root, 'other_manifest')
    const merge = mergeFragments({ fragments, output, pgdata: copy.directory, endLsn: end() })
    await expect(merge).rejects.toMatchObject({ code: 'BAD_FILE' })
  })
})

describeWithDebianPostgres('a backup of a standby across a promotion', (programs) => {
  test('knows its WAL ranges by itself, and is accepted by pg_verifybackup', { timeout }, async () => {
    const copy = await copyBackup(await twoTimelinesBackup(programs))
    onTestFinished(() => copy.remove())
    const real = parseBytes(readFileSync(copy.manifestPath))
    rmSync(copy.manifestPath)
    const fragments = await writeFragments(copy.directory, copy.root)
    const merged = await mergeFragments({ fragments, output: copy.manifestPath, pgdata: copy.directory })
    expect(merged.walRanges).toEqual(real.walRanges)
    expect(await pgVerifyBackup(programs, [copy.directory])).toMatchObject({ status: 0, stderr: '' })
  })
})
