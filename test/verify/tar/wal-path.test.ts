import { mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyBackup, type VerifyReport } from 'pbmanifest'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { pbmanifest } from '../../cli/pbmanifest.js'
import { type BackupCopy, copyBackup } from '../../helpers/copy-backup.js'
import type { PlainBackup } from '../../helpers/plain-backup.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { packArchive, packedEndings, packTarBackup } from '../../helpers/tar-backups.js'
import { twoTimelinesBackup } from '../../helpers/two-timelines.js'
import { flipBit, walSegments } from '../damage.js'

function findings({ problems, verdict, walRecords, walBytes }: VerifyReport): unknown {
  return {
    verdict,
    walRecords,
    walBytes,
    found: problems.map(({ kind, path, detail }) => [kind, path, detail]),
  }
}

describeWithDebianPostgres('a tar archive as --wal-path', (programs) => {
  let original: PlainBackup
  let backup: BackupCopy
  let intact: unknown

  beforeAll(async () => {
    original = await twoTimelinesBackup(programs)
    intact = findings(await verifyBackup(original.directory))
  }, 240_000)

  beforeEach(async () => {
    backup = await copyBackup(original)
  })

  afterEach(() => backup.remove())

  /** Packs the WAL and takes it from the backup; returns the archive. */
  /** As a backup that was taken with `-X none` has it: a server needs the directory. */
  async function emptyWalDirectory(): Promise<void> {
    const wal = join(backup.directory, 'pg_wal')
    await rm(wal, { recursive: true })
    await mkdir(wal)
  }

  async function moveWal(ending: (typeof packedEndings)[number]): Promise<string> {
    const wal = join(backup.directory, 'pg_wal')
    await packArchive(wal, { directory: backup.root, stem: 'any-name', ending })
    await emptyWalDirectory()
    return join(backup.root, `any-name${ending}`)
  }

  test.each(packedEndings)('that ends in %s has the WAL of a plain and of a tar backup', async (ending) => {
    const packed = join(backup.root, 'packed')
    await packTarBackup(backup.directory, packed)
    await rm(join(packed, 'pg_wal.tar'))
    const path = await moveWal(ending)
    expect(await verifyBackup(backup.directory)).toMatchObject({ verdict: 'failed' })
    expect(findings(await verifyBackup(backup.directory, { walDirectory: path }))).toEqual(intact)
    expect(findings(await verifyBackup(packed, { walDirectory: path }))).toEqual(intact)
  })

  test('may have it in pg_wal, and any name', async () => {
    await packArchive(backup.directory, { directory: backup.root, stem: 'x', ending: '.tar' }, ['./pg_wal'])
    await emptyWalDirectory()
    const path = join(backup.root, 'no suffix')
    await rename(join(backup.root, 'x.tar'), path)
    expect(findings(await verifyBackup(backup.directory, { walDirectory: path }))).toEqual(intact)
    const { status, stdout } = await pbmanifest(['verify', '--wal-path', path, backup.directory])
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringContaining('successfully verified'),
    })
  })

  test.each(['.tar', '.tar.gz'] as const)('that ends in %s and is damaged is a problem', async (ending) => {
    const path = await moveWal(ending)
    await truncate(path, 20_000)
    const { problems } = await verifyBackup(backup.directory, { walDirectory: path })
    expect(problems[0]).toMatchObject({ kind: 'bad-archive', path })
    expect(problems.slice(1).map(({ kind }) => kind)).toContain('wal-missing')
  })

  test('with a damaged record has the problem that the directory has', async () => {
    await flipBit(backup, `pg_wal/${(await walSegments(backup)).at(-1)}`, 2)
    const { problems } = await verifyBackup(backup.directory)
    expect(problems.map(({ kind }) => kind)).toEqual(['wal-invalid'])
    const path = await moveWal('.tar')
    const packed = await verifyBackup(backup.directory, { walDirectory: path })
    expect(packed.problems).toEqual(problems)
  })

  test('that is no archive is a problem', async () => {
    const path = join(backup.root, 'text')
    await writeFile(path, 'x'.repeat(2000))
    const { status, stderr } = await pbmanifest(['verify', '-w', path, backup.directory])
    expect(status).toBe(1)
    expect(stderr).toContain(`archive "${path}": input file does not appear to be a valid tar archive\n`)
    expect(stderr).toContain('segment "')
  })
})
