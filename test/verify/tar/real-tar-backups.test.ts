import { existsSync } from 'node:fs'
import { cp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyBackup, verifyFetchedBackup, type VerifyReport } from 'pbmanifest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parseLsn } from '../../../src/postgres/lsn.js'
import { pbmanifest, shell } from '../../cli/pbmanifest.js'
import type { BackupCopy } from '../../helpers/copy-backup.js'
import type { PlainBackup } from '../../helpers/plain-backup.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { mustRun } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import {
  packTarBackup,
  realTarBackups,
  type TarBackupKind,
  tarBackupKinds,
  unpackTarBackup,
} from '../../helpers/tar-backups.js'
import { sameForAnyJobs } from '../same-for-any-jobs.js'
import { addFile, flipBit, largestFile, overwrite, removeFile, resize, walSegments } from '../damage.js'

/** What was found, without the words, in which the formats differ. */
function findings({ problems, verdict, walRecords, walBytes }: VerifyReport): unknown {
  const found = problems.map(({ kind, path, encodedPath, detail }) => {
    // Where a WAL segment is missing from is told differently.
    return [kind, path, encodedPath, detail?.replace(/ missing from .*/, ' missing')]
  })
  return { verdict, walRecords, walBytes, found: found.map((finding) => JSON.stringify(finding)).toSorted() }
}

describeWithDebianPostgres('a tar backup of pg_basebackup', (programs) => {
  let backups: Readonly<Record<TarBackupKind, string>>
  const reports = new Map<TarBackupKind, Promise<VerifyReport>>()

  /** That of as many jobs as there are processors; each backup is verified so once. */
  function reportOf(kind: TarBackupKind): Promise<VerifyReport> {
    const report = reports.get(kind) ?? verifyBackup(backups[kind])
    reports.set(kind, report)
    return report
  }

  beforeAll(async () => {
    backups = await realTarBackups(programs)
  })

  describe.each(tarBackupKinds)('%s', (kind) => {
    test('verifies, every file in it', async () => {
      const report = await reportOf(kind)
      expect(report).toMatchObject({ verdict: 'verified', format: 'tar', problems: [] })
      const bytes = walBytesOf(report)
      expect(report).toMatchObject({ walBytes: bytes })
      expect(report.walRecords).toBeGreaterThan(0)
      // All but what is ignored: postgresql.auto.conf, and what the manifest has of pg_wal.
      expect(report.manifest.files - report.filesChecked).toBeLessThanOrEqual(2)
      expect(report.filesChecked).toBeGreaterThan(900)
      expect(report.notChecked.map(({ what }) => what)).not.toContain('unseen-files')
    })

    test('verifies the same where a command gives its archives, its WAL too', async () => {
      const fetched = await verifyFetchedBackup({ fetchCommand: `cat '${backups[kind]}/%f'` })
      const { walRecords, walBytes, filesChecked, pages } = await reportOf(kind)
      expect(fetched).toMatchObject({
        verdict: 'verified',
        problems: [],
        walRecords,
        walBytes,
        filesChecked,
        pages,
      })
      expect(fetched.notChecked.map(({ what }) => what)).not.toContain('wal-records')
    })

    test('is reported the same for every number of jobs', async () => {
      const usual = sameForAnyJobs(await reportOf(kind))
      for (const jobs of [1, 8]) {
        expect(sameForAnyJobs(await verifyBackup(backups[kind], { jobs }))).toEqual(usual)
      }
    })
  })

  test('has the same WAL in every format', async () => {
    // Each backup has a range of its own, so it is compared with itself, unpacked.
    for (const kind of ['none', 'gzip', 'zstd', 'wal-in-base'] as const) {
      const scratch = createScratchDirectory()
      try {
        const directory = await unpackTarBackup(backups[kind], scratch.path)
        const plain = await verifyBackup(directory, { format: 'plain' })
        const tar = await reportOf(kind)
        expect([kind, tar.walRecords, tar.walBytes]).toEqual([kind, plain.walRecords, plain.walBytes])
      } finally {
        scratch.remove()
      }
    }
  })

  test('verifies without checksums', async () => {
    const report = await verifyBackup(backups.none, { skipChecksums: true })
    expect(report).toMatchObject({ verdict: 'verified', filesChecked: 0, bytesChecked: 0 })
  })

  test('has progress that never goes back and ends at the size of the archives', async () => {
    const done: number[] = []
    const totals = new Set<number>()
    await verifyBackup(backups.lz4, {
      onProgress: ({ bytesDone, bytesTotal }) => {
        done.push(bytesDone)
        totals.add(bytesTotal)
      },
    })
    expect(done).toEqual(done.toSorted((left, right) => left - right))
    expect(totals.size).toBe(1)
    expect([done[0], done.at(-1)]).toEqual([0, ...totals])
  })

  describe('with archives that were changed', () => {
    let scratch: ScratchDirectory
    let directory: string

    beforeEach(async () => {
      scratch = createScratchDirectory()
      directory = join(scratch.path, 'backup')
      await cp(backups.none, directory, { recursive: true })
    })

    afterEach(() => scratch.remove())

    test('misses its WAL, and does not when it is elsewhere or not wanted', async () => {
      const wal = join(scratch.path, 'wal')
      await mustRun('mkdir', [wal])
      await mustRun('tar', ['-xf', join(directory, 'pg_wal.tar'), '-C', wal])
      await rm(join(directory, 'pg_wal.tar'))
      const { problems } = await verifyBackup(directory)
      expect(problems.map(({ kind, message }) => [kind, message])).toEqual([
        ['wal-missing', 'WAL parsing failed for timeline 1'],
      ])
      expect(await verifyBackup(directory, { walDirectory: wal })).toMatchObject({ verdict: 'verified' })
      const { status, stdout } = await pbmanifest(['verify', `--wal-directory=${wal}`, directory])
      expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining('verified') })
      expect(await verifyBackup(directory, { noParseWal: true })).toMatchObject({ verdict: 'verified' })
    })

    test('is no part of a chain', async () => {
      const { status, stderr } = await pbmanifest(['verify', '--chain', directory, directory])
      expect(status).toBe(2)
      expect(stderr).toMatch(/^pbmanifest: error: backup at ".*" is in tar format, which a chain cannot be\n/)
      expect(stderr.split('\n')).toHaveLength(3)
    })

    test('misses a tablespace when its archive is gone', async () => {
      const name = await tablespaceArchive(directory)
      await rm(join(directory, name))
      const { problems } = await verifyBackup(directory)
      expect(problems.length).toBeGreaterThan(0)
      for (const { kind, path, message } of problems) {
        expect(kind).toBe('missing')
        expect(path).toMatch(new RegExp(`^pg_tblspc/${name.replace('.tar', '')}/`))
        expect(message).toBe(`"${path}" is present in the manifest but not on disk`)
      }
    })

    test('is told about in the same report for every number of jobs', async () => {
      for (const name of await readdir(directory)) {
        if (name.endsWith('.tar')) await damageHere(join(directory, name))
      }
      const reports = []
      for (const jobs of [1, 2, 8]) reports.push(sameForAnyJobs(await verifyBackup(directory, { jobs })))
      expect(reports[0]?.problems.length).toBeGreaterThan(3)
      expect(reports).toEqual([reports[0], reports[0], reports[0]])
    })
  })

  describe.each(tarBackupKinds)('%s on standard input', (kind) => {
    test('verifies, archive by archive', async () => {
      const names = (await readdir(backups[kind])).filter((name) => name.includes('.tar'))
      expect(names).toContain(`base.tar${{ gzip: '.gz', lz4: '.lz4', zstd: '.zst' }[kind as string] ?? ''}`)
      for (const name of names) {
        const args = [backups[kind], name]
        const line = 'cat "$1/$2" | pbmanifest verify --output=json -m "$1/backup_manifest" --archive="$2" -'
        const { status, stdout, stderr } = await shell(line, ...args)
        expect({ name, status, stderr }).toEqual({ name, status: 0, stderr: '' })
        const report = JSON.parse(stdout) as VerifyReport
        expect(report).toMatchObject({ verdict: 'partial', format: 'tar', directory: '-' })
        const left = report.notChecked.map(({ what }) => what)
        expect(left).toContain('unseen-files')
        expect(report.walRecords).toBe(0)
        const hasWal = name.startsWith('pg_wal') || kind === 'wal-in-base'
        expect([name, left.filter((what) => what.startsWith('wal'))]).toEqual([
          name,
          [hasWal && !/^[0-9]/.test(name) ? 'wal-records' : 'wal'],
        ])
      }
    })
  })

  test('is not that of a tablespace, on standard input', async () => {
    const oid = await tablespaceArchive(backups.none)
    const line = 'pbmanifest verify -F tar -m "$1/backup_manifest" - < "$1/$2"'
    const { status, stderr } = await shell(line, backups.none, oid)
    expect(status).toBe(1)
    expect(stderr).toContain('is present in archive "base.tar" but not in the manifest')
    expect(stderr).toContain('"PG_VERSION" is present in the manifest but not on disk')
  })

  describe('unpacked, damaged and packed again', () => {
    let scratch: ScratchDirectory
    let unpacked: PlainBackup

    beforeAll(async () => {
      scratch = createScratchDirectory()
      const directory = await unpackTarBackup(backups.zstd, scratch.path)
      const manifestPath = join(directory, 'backup_manifest')
      unpacked = { root: scratch.path, directory, manifestPath, tablespaces: [] }
    })

    afterAll(() => scratch.remove())

    test.each<{ what: string; damage: (backup: PlainBackup) => Promise<unknown>; isIntact?: boolean }>([
      { what: 'nothing', damage: async () => {}, isIntact: true },
      { what: 'a bit of a file', damage: async (b) => flipBit(b, await largestFile(b, 'base/')) },
      { what: 'a bit in a tablespace', damage: async (b) => flipBit(b, await inTablespace(b)) },
      { what: 'a missing file', damage: async (b) => removeFile(b, await largestFile(b, 'base/')) },
      { what: 'a missing directory', damage: async (b) => removeFile(b, 'global') },
      { what: 'a missing tablespace', damage: async (b) => removeFile(b, 'pg_tblspc') },
      { what: 'an extra file', damage: async (b) => addFile(b, 'base/1/extra') },
      { what: 'an extra file with a long name', damage: async (b) => addFile(b, `base/${'n'.repeat(180)}`) },
      {
        what: 'a shorter file',
        damage: async (b) => resize(b, await largestFile(b, 'base/'), (size) => size - 1),
      },
      { what: 'a longer file', damage: async (b) => resize(b, await inTablespace(b), (size) => size + 8192) },
      { what: 'an empty file', damage: async (b) => resize(b, 'PG_VERSION', () => 0) },
      { what: 'another version', damage: async (b) => overwrite(b, 'PG_VERSION', 0, Buffer.from('99')) },
      { what: 'a damaged pg_control', damage: async (b) => flipBit(b, 'global/pg_control', 6) },
      { what: 'a short pg_control', damage: async (b) => resize(b, 'global/pg_control', () => 100) },
      { what: 'a damaged backup_label', damage: async (b) => flipBit(b, 'backup_label', 3) },
      { what: 'a huge backup_label', damage: async (b) => resize(b, 'backup_label', () => 2 * 1024 * 1024) },
      {
        what: 'a damaged tablespace_map',
        damage: async (b) => overwrite(b, 'tablespace_map', 0, Buffer.from('x')),
      },
      {
        what: 'a changed file that is ignored',
        damage: async (b) => addFile(b, 'postgresql.auto.conf', 'changed'),
        isIntact: true,
      },
      {
        what: 'a missing WAL segment',
        damage: async (b) => removeFile(b, `pg_wal/${(await walSegments(b)).at(-1) ?? ''}`),
      },
      {
        what: 'a short WAL segment',
        damage: async (b) =>
          resize(b, `pg_wal/${(await walSegments(b)).at(-1) ?? ''}`, (size) => size - 8192),
      },
      {
        what: 'much',
        damage: async (b) => {
          await flipBit(b, await largestFile(b, 'base/'))
          await removeFile(b, 'PG_VERSION')
          await addFile(b, 'pg_xact/extra')
          await resize(b, await inTablespace(b), (size) => size - 1)
        },
      },
    ])('is found to have $what, as the directory is', async ({ damage, isIntact = false }) => {
      const copy = await copyByLinks(unpacked)
      try {
        await damage(copy)
        const packed = join(copy.root, 'packed')
        await packTarBackup(copy.directory, packed)
        const plain = await verifyBackup(copy.directory, { format: 'plain' })
        const tar = await verifyBackup(packed, { format: 'tar' })
        expect(plain.verdict).toBe(isIntact ? 'verified' : 'failed')
        expect(findings(tar)).toEqual(findings(plain))
      } finally {
        copy.remove()
      }
    })

    test('is verified in whatever format of tar', async () => {
      for (const format of ['gnu', 'pax', 'ustar']) {
        const packed = join(scratch.path, format)
        await packTarBackup(unpacked.directory, packed, [`--format=${format}`])
        expect({ format, problems: (await verifyBackup(packed)).problems }).toEqual({ format, problems: [] })
        await rm(packed, { recursive: true })
      }
      expect(existsSync(unpacked.directory)).toBe(true)
    })

    test('is verified with holes and hard links, every file of it', async () => {
      const linked = join(scratch.path, 'linked')
      await mustRun('cp', ['-a', unpacked.directory, linked])
      // As programs do that save space. Nearly all files of a template are those of another.
      const script = `find base/5 -type f | head -60 | while read -r file; do
          other=base/1/\${file#base/5/}
          if cmp -s "$file" "$other"; then ln -f "$file" "$other"; echo linked; fi
        done
        find base/1 -type f | head -80 | xargs -n 1 fallocate --dig-holes`
      const { stdout } = await mustRun('sh', ['-c', script], { cwd: linked })
      expect(stdout.split('linked').length).toBeGreaterThan(30)
      for (const options of [['--format=gnu'], ['--format=pax', '--sparse-version=1.0']]) {
        const packed = join(scratch.path, 'holes')
        await packTarBackup(linked, packed, [...options, '--sparse'])
        const report = await verifyBackup(packed)
        const plain = await verifyBackup(linked, { format: 'plain' })
        expect({ options, problems: report.problems }).toEqual({ options, problems: [] })
        expect(report).toMatchObject({ filesChecked: plain.filesChecked, walRecords: plain.walRecords })
        expect(report.bytesChecked).toBeLessThan(plain.bytesChecked)
        await rm(packed, { recursive: true })
      }
      await rm(linked, { recursive: true })
    })
  })

  test('is listed with its result on the command line', async () => {
    const { status, stdout, stderr } = await pbmanifest(['verify', '-F', 'tar', backups.gzip])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(
      /^backup successfully verified\n.* not checked: page checksums, postgresql.auto.conf and signal files\n$/,
    )
  })
})

/** How long the WAL ranges of a backup are. */
function walBytesOf({ manifest }: VerifyReport): number {
  const lengths = manifest.walRanges.map(({ startLsn, endLsn }) =>
    Number((parseLsn(endLsn) ?? 0n) - (parseLsn(startLsn) ?? 0n)),
  )
  return lengths.reduce((sum, length) => sum + length, 0)
}

/** Copies a backup without links in it by hard links; whoever changes a file in it unshares that before. */
async function copyByLinks(backup: PlainBackup): Promise<BackupCopy> {
  const scratch = createScratchDirectory()
  await mustRun('cp', ['-al', backup.directory, scratch.path])
  const directory = join(scratch.path, 'data')
  const manifestPath = join(directory, 'backup_manifest')
  return { root: scratch.path, directory, manifestPath, tablespaces: [], remove: () => scratch.remove() }
}

/** Changes a byte in every 100 kB, so that members and headers are damaged. */
async function damageHere(path: string): Promise<void> {
  const script =
    'for ((n = 50000; n < $(stat -c %s "$1"); n += 100000)); do printf X | dd of="$1" bs=1 seek=$n conv=notrunc status=none; done'
  await mustRun('bash', ['-c', script, 'bash', path])
}

async function inTablespace(backup: PlainBackup): Promise<string> {
  return await largestFile(backup, 'pg_tblspc/')
}

/** An archive of a tablespace. */
async function tablespaceArchive(directory: string): Promise<string> {
  return (await readdir(directory)).find((name) => /^[0-9]+\.tar$/.test(name)) ?? ''
}
