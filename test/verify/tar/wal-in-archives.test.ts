import { link, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyArchiveStream, verifyBackup, type VerifyReport } from 'pbmanifest'
import { createReadStream } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type BackupCopy, copyBackup } from '../../helpers/copy-backup.js'
import { openFilesBelow } from '../../helpers/open-files.js'
import type { PlainBackup } from '../../helpers/plain-backup.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { copyTree, mustRun } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { packArchive, type PackedEnding, packedEndings, packTarBackup } from '../../helpers/tar-backups.js'
import { twoTimelinesBackup } from '../../helpers/two-timelines.js'
import { flipBit, overwrite, removeFile, renameFile, resize, walSegments } from '../damage.js'
import { linkedCopy } from '../linked-copy.js'
import { lastPageOfWal, placeInWal } from '../wal-places.js'

/** What was found, without where a segment is missing from. */
function findings({ problems, verdict, walRecords, walBytes }: VerifyReport): unknown {
  const found = problems.map(({ kind, path, message, detail }) => [
    kind,
    path,
    message,
    detail?.replace(/ missing from .*/, ' missing'),
  ])
  return { verdict, walRecords, walBytes, found }
}

interface Row {
  readonly what: string
  readonly damage: (backup: PlainBackup) => Promise<unknown>
  readonly isIntact?: boolean
  /** What is damaged is not the WAL. */
  readonly isElsewhere?: boolean
}

const rows: readonly Row[] = [
  { what: 'nothing', damage: async () => {}, isIntact: true },
  {
    what: 'a bit of the first record',
    damage: async (b) => flipBit(b, ...(await placeInWal(b, 'start', 30))),
  },
  { what: 'a bit of the last record', damage: async (b) => flipBit(b, ...(await placeInWal(b, 'end', -9))) },
  { what: 'a bit of a page', damage: async (b) => flipBit(b, ...(await lastPageOfWal(b, 8))) },
  {
    what: 'a segment in the place of another',
    damage: async (b) =>
      overwrite(b, await segment(b, 1), 0, await readFile(join(b.directory, await segment(b, 0)))),
  },
  { what: 'the first segment missing', damage: async (b) => removeFile(b, await segment(b, 0)) },
  { what: 'a segment missing', damage: async (b) => removeFile(b, await segment(b, 1)) },
  { what: 'the last segment missing', damage: async (b) => removeFile(b, await segment(b, -1)) },
  {
    what: 'all segments missing',
    damage: async (b) => {
      for (const name of await walSegments(b)) await removeFile(b, `pg_wal/${name}`)
    },
  },
  {
    what: 'a segment that is too short',
    damage: async (b) => resize(b, await segment(b, 1), (size) => size - 8192),
  },
  { what: 'a partial segment', damage: async (b) => renameFile(b, await segment(b, -1), '.partial') },
  { what: 'no pg_control', damage: async (b) => removeFile(b, 'global/pg_control'), isElsewhere: true },
  { what: 'no PG_VERSION', damage: async (b) => removeFile(b, 'PG_VERSION'), isElsewhere: true },
]

/** All for plain archives; of the compressed ones, each takes its share, because packing them takes long. */
function rowsFor(ending: PackedEnding): Row[] {
  const share = packedEndings.indexOf(ending)
  return rows.filter((_, index) => share === 0 || index % (packedEndings.length - 1) === share - 1)
}

describeWithDebianPostgres('the WAL of two timelines in archives', (programs) => {
  let original: PlainBackup
  let backup: BackupCopy
  let packed: string

  beforeAll(async () => {
    original = await twoTimelinesBackup(programs)
  }, 240_000)

  beforeEach(async () => {
    backup = await linkedCopy(original)
    packed = join(backup.root, 'packed')
  })

  afterEach(() => backup.remove())

  describe.each(packedEndings)('that end in %s', (ending) => {
    let intact: ScratchDirectory

    beforeAll(async () => {
      intact = createScratchDirectory()
      await packTarBackup(original.directory, join(intact.path, 'packed'), [], ending)
    })

    afterAll(() => intact.remove())

    /** Packs a backup of which only the WAL differs from the original: packing the rest takes long. */
    async function packWal(): Promise<void> {
      await copyTree(join(intact.path, 'packed'), packed)
      await packArchive(join(backup.directory, 'pg_wal'), { directory: packed, stem: 'pg_wal', ending })
    }

    test.each(rowsFor(ending))(
      'is found to have $what, as in the directory',
      async ({ damage, isIntact = false, isElsewhere = false }) => {
        await damage(backup)
        if (isElsewhere) await packTarBackup(backup.directory, packed, [], ending)
        else await packWal()
        const plain = await verifyBackup(backup.directory, { format: 'plain' })
        expect(plain.verdict).toBe(isIntact ? 'verified' : 'failed')
        // With how many threads makes no difference to how an archive is read: the compressed ones take two.
        for (const jobs of ending === '.tar' ? [1, 2] : [2]) {
          const tar = await verifyBackup(packed, { jobs })
          expect(sorted(findings(tar))).toEqual(sorted(findings(plain)))
          expect(tar.notChecked.map(({ what }) => what)).not.toContain('wal-records')
        }
      },
    )

    test('may be in any order, and in base.tar', async () => {
      const plain = await verifyBackup(backup.directory)
      expect(plain.walRecords).toBeGreaterThan(0)
      await packWal()
      const target = { directory: packed, stem: 'pg_wal', ending }
      const names = (await walSegments(backup)).toReversed()
      await packArchive(join(backup.directory, 'pg_wal'), target, names)
      expect(findings(await verifyBackup(packed))).toEqual(findings(plain))
      await rm(join(packed, `pg_wal${ending}`))
      const excluded = ['--exclude=./pg_tblspc/*', '--exclude=./backup_manifest']
      await packArchive(backup.directory, { ...target, stem: 'base' }, ['--anchored', ...excluded, '.'])
      expect(findings(await verifyBackup(packed))).toEqual(findings(plain))
    })

    test('takes a partial segment when told to', async () => {
      await renameFile(backup, await segment(backup, -1), '.partial')
      await packWal()
      const { problems } = await verifyBackup(packed)
      expect(problems.map(({ detail }) => detail)).toEqual([
        expect.stringContaining('such files are used only when asked for'),
      ])
      expect(await verifyBackup(packed, { partialWal: true })).toMatchObject({ verdict: 'verified' })
    })

    test('is missing from where its archive was cut', async () => {
      await packWal()
      const path = join(packed, `pg_wal${ending}`)
      await truncate(path, 50_000)
      const { problems } = await verifyBackup(packed)
      expect(problems[0]).toMatchObject({ kind: 'bad-archive', path: `pg_wal${ending}` })
      expect(problems.slice(1).map(({ kind }) => kind)).toEqual(
        expect.arrayContaining([expect.stringMatching(/^wal-(missing|invalid)$/)]),
      )
      expect(await openFilesBelow(packed)).toEqual([])
    })

    test('leaves no archive open', async () => {
      await flipBit(backup, ...(await placeInWal(backup, 'start', 30)))
      await packWal()
      const { verdict } = await verifyBackup(packed)
      expect(verdict).toBe('failed')
      expect(await openFilesBelow(packed)).toEqual([])
    })

    test('can be left', async () => {
      await packWal()
      const controller = new AbortController()
      const verified = verifyBackup(packed, {
        signal: controller.signal,
        onProgress: ({ bytesDone, bytesTotal }) => {
          // The archives are read, the WAL comes next.
          if (bytesDone === bytesTotal) controller.abort()
        },
      })
      await expect(verified).rejects.toMatchObject({ code: 'ABORTED' })
      expect(await openFilesBelow(packed)).toEqual([])
    })

    test('is there and as long as it should be on standard input', async () => {
      await resize(backup, await segment(backup, 1), (size) => size - 8192)
      await packWal()
      const stream = createReadStream(join(packed, `pg_wal${ending}`))
      const manifestPath = join(packed, 'backup_manifest')
      const { problems, notChecked } = await verifyArchiveStream(stream, { manifestPath, archive: 'pg_wal' })
      expect(problems.map(({ kind, path }) => [kind, path])).toEqual([
        ['wal-invalid', await segment(backup, 1)],
      ])
      expect(notChecked).toContainEqual({
        what: 'wal-records',
        why: 'standard input cannot be read a second time; of the WAL in it, presence and size are checked',
      })
    })
  })

  test.each(['.tar', '.tar.gz'] as const)(
    'is read where it has holes, or is a hard link (%s)',
    async (ending) => {
      backup.remove()
      // Holes are dug in its files.
      backup = await copyBackup(original)
      packed = join(backup.root, 'packed')
      const plain = await verifyBackup(backup.directory)
      const directory = join(backup.directory, 'pg_wal')
      const names = await walSegments(backup)
      const first = names[0] ?? ''
      for (const name of names) await mustRun('fallocate', ['--dig-holes', join(directory, name)])
      await link(join(directory, first), join(directory, `${first}.partial`))
      await packTarBackup(backup.directory, packed, ['--sparse'], ending)
      const target = { directory: packed, stem: 'pg_wal', ending }
      await packArchive(directory, target, ['--sparse', `${first}.partial`, ...names])
      expect(findings(await verifyBackup(packed))).toEqual(findings(plain))
      await flipBit(backup, ...(await placeInWal(backup, 'start', 30)))
      await packArchive(directory, target, ['--sparse', `${first}.partial`, ...names])
      expect(await verifyBackup(packed)).toMatchObject({ problemCounts: { 'wal-invalid': 1 } })
    },
  )

  test('is not there when an archive of WAL on standard input has none', async () => {
    await writeFile(join(backup.directory, 'pg_wal', 'x'), '')
    await packTarBackup(backup.directory, packed)
    const target = { directory: packed, stem: 'pg_wal', ending: '.tar' } as const
    await packArchive(join(backup.directory, 'pg_wal'), target, ['x'])
    const stream = createReadStream(join(packed, 'pg_wal.tar'))
    const manifestPath = join(packed, 'backup_manifest')
    const { problems } = await verifyArchiveStream(stream, { manifestPath, archive: 'pg_wal' })
    expect(problems.map(({ kind }) => kind)).toEqual(['wal-missing', 'wal-missing'])
  })
})

/** Problems in the order of their kinds: what is no WAL has another order in archives. */
function sorted(found: unknown): unknown {
  const { found: list, ...rest } = found as { found: unknown[][] }
  const others = list
    .filter((finding) => !isOfWal(finding))
    .map(([kind, path]) => JSON.stringify([kind, path]))
  return { ...rest, wal: list.filter(isOfWal), others: others.toSorted() }
}

function isOfWal([kind]: readonly unknown[]): boolean {
  return String(kind).startsWith('wal')
}

/** A segment of the backup, in the order of their names. */
async function segment(backup: PlainBackup, index: number): Promise<string> {
  return `pg_wal/${(await walSegments(backup)).at(index)}`
}
