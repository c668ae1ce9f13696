import { existsSync, readFileSync } from 'node:fs'
import { readdir, readlink, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { restoreBackup, type RestoreReport, type RestoreSource, verifyBackup } from 'pbmanifest'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { pbmanifest } from '../cli/pbmanifest.js'
import { Cluster } from '../helpers/cluster.js'
import { pgVerifyBackup } from '../helpers/pg-verify-backup.js'
import { type PlainBackup, readPlainBackup } from '../helpers/plain-backup.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { BUCKET, startStore } from '../helpers/stores/object-store.js'
import { realTarBackups, type TarBackupKind } from '../helpers/tar-backups.js'
import { flipBit, largestFile, walSegments } from '../verify/damage.js'

const timeout = 240_000

const sums = `SELECT (SELECT sum(n) FROM large) AS large, (SELECT sum(n) FROM small) AS small,
  (SELECT sum(n) FROM other) AS other, (SELECT count(*) FROM empty) AS empty`

/** By the tables that all backups of the fixtures have. */
const expectedSums = { large: '128008000', small: '500500', other: '12502500', empty: '0' }

describeWithDebianPostgres('a backup that is restored', (programs) => {
  let plain: PlainBackup
  let tar: Readonly<Record<TarBackupKind, string>>
  let scratch: ScratchDirectory
  let target: Cluster

  beforeAll(async () => {
    plain = await realBackup(programs)
    tar = await realTarBackups(programs)
  }, timeout)

  beforeEach(() => {
    scratch = createScratchDirectory()
    target = new Cluster(programs, scratch)
  })

  afterEach(() => target.remove())

  /** Where the tablespaces go: the old places are gone, or another server's. */
  function mappings(locations: readonly string[]): { from: string; to: string }[] {
    return locations.map((from, index) => ({ from, to: join(scratch.path, `tablespace${index}`) }))
  }

  async function locationsOfTar(kind: TarBackupKind): Promise<string[]> {
    const name = (await readdir(tar[kind])).find((name) => name.startsWith('base.'))
    const { stdout } = await mustRun('tar', ['-xOf', join(tar[kind], name ?? ''), 'tablespace_map'])
    return stdout
      .trim()
      .split('\n')
      .map((line) => line.slice(line.indexOf(' ') + 1))
  }

  async function expectGood(report: RestoreReport): Promise<void> {
    expect(report.walRecords).toBeGreaterThan(0)
    expect(report.tablespaces).toHaveLength(2)
    for (const { oid, directory } of report.tablespaces) {
      expect(await readlink(join(target.dataDirectory, 'pg_tblspc', String(oid)))).toBe(directory)
    }
    const verified = await verifyBackup(target.dataDirectory)
    expect(verified).toMatchObject({ verdict: 'verified', problems: [] })
    const real = await pgVerifyBackup(programs, [target.dataDirectory])
    expect(real).toMatchObject({ status: 0, stderr: '' })
  }

  async function expectStarts(): Promise<void> {
    const { user } = target
    if (user !== undefined) await mustRun('chown', ['-hR', `${user.uid}:${user.gid}`, scratch.path])
    await mustRun('sh', [
      '-c',
      `echo "unix_socket_directories = '${target.socketDirectory}'" >> "$1"`,
      'sh',
      join(target.dataDirectory, 'postgresql.auto.conf'),
    ])
    await target.start()
    expect(await target.sql(sums)).toEqual([expectedSums])
    expect(await target.sql(sums, 'second')).toEqual([expectedSums])
    await target.sql(`CREATE TABLE new TABLESPACE fast AS SELECT 1 AS n; CHECKPOINT`)
  }

  test('from a directory has the same manifest, and a server starts in it', { timeout }, async () => {
    const locations = plain.tablespaces.map(({ directory }) => directory)
    const { dataDirectory } = target
    const args = mappings(locations).map(({ from, to }) => `-T${from}=${to}`)
    const run = await pbmanifest([
      'restore',
      '-j3',
      '-P',
      '-N',
      '--output=json',
      ...args,
      '-D',
      dataDirectory,
      plain.directory,
    ])
    expect(run).toMatchObject({ status: 0 })
    const report = JSON.parse(run.stdout) as RestoreReport
    expect(report.manifest.isRewritten).toBe(false)
    expect(readFileSync(join(dataDirectory, 'backup_manifest'))).toEqual(readFileSync(plain.manifestPath))
    await expectGood(report)
    await expectStarts()
  })

  test(
    'from archives that a command gives has tablespaces elsewhere, and a server starts in it',
    { timeout },
    async () => {
      const source: RestoreSource = { fetchCommand: `cat '${tar.gzip}/%f'` }
      const notices: string[] = []
      const report = await restoreBackup(source, {
        directory: target.dataDirectory,
        tablespaceMappings: mappings(await locationsOfTar('gzip')),
        onNotice: (message) => notices.push(message),
        jobs: 2,
      })
      expect(report.manifest.isRewritten).toBe(true)
      expect(notices.join()).toContain('"tablespace_map" is left out')
      await expectGood(report)
      await expectStarts()
    },
  )

  test('from archives in an object store has the same, and a server starts in it', { timeout }, async () => {
    const store = await startStore('s3rver')
    try {
      await store.putDirectory(tar.gzip, 'tar/')
      const report = await restoreBackup(
        { address: `s3://${BUCKET}/tar`, store: { env: store.env } },
        {
          directory: target.dataDirectory,
          tablespaceMappings: mappings(await locationsOfTar('gzip')),
          jobs: 2,
        },
      )
      expect(report.manifest.isRewritten).toBe(true)
      await expectGood(report)
      await expectStarts()
    } finally {
      await store.close()
    }
  })

  test('that was ended in the middle goes on with what is missing', { timeout }, async () => {
    const tablespaceMappings = mappings(await locationsOfTar('zstd'))
    const options = { directory: target.dataDirectory, tablespaceMappings, jobs: 2 }
    await restoreBackup({ directory: tar.zstd }, options)
    const restored = { ...plain, ...(await readPlainBackup(scratch.path)) }
    await flipBit(restored, await largestFile(restored, 'base/'))
    await flipBit(restored, await largestFile(restored, 'pg_tblspc/'))
    const [segment] = await walSegments(restored)
    for (const name of [
      'backup_manifest',
      'postgresql.auto.conf',
      'global/pg_control',
      `pg_wal/${segment}`,
    ]) {
      await rm(join(target.dataDirectory, name))
    }
    await rm(join(target.dataDirectory, 'pg_notify'), { recursive: true })
    const { directory } = (await readPlainBackup(scratch.path)).tablespaces[0] ?? { directory: '' }
    for (const place of [target.dataDirectory, directory])
      await writeFile(join(place, 'pbmanifest.unfinished'), '{}')
    const source = { fetchCommand: `cat '${tar.zstd}/%f'` }
    const report = await restoreBackup(source, { ...options, onlyMissing: true }).catch((error: unknown) => {
      throw new Error(JSON.stringify(error), { cause: error })
    })
    // Beside the settings and the segment: pg_basebackup says that a segment is done, or ends before it would.
    const statuses = await readdir(join(target.dataDirectory, 'pg_wal/archive_status'))
    expect(report).toMatchObject({ files: 3, unlistedFiles: 2 + statuses.length })
    expect(existsSync(join(target.dataDirectory, 'postgresql.auto.conf'))).toBe(true)
    expect(existsSync(join(directory, 'pbmanifest.unfinished'))).toBe(false)
    await expectGood({ ...report, walRecords: 1 })
  })

  test.each(['none', 'wal-in-base'] as const)(
    'from a directory of archives (%s) is the same as its archives',
    { timeout },
    async (kind) => {
      const report = await restoreBackup(
        { directory: tar[kind] },
        {
          directory: target.dataDirectory,
          tablespaceMappings: mappings(await locationsOfTar(kind)),
          manifestChecksums: 'SHA256',
          sync: false,
          jobs: kind === 'none' ? 1 : 4,
        },
      )
      await expectGood(report)
      expect(readFileSync(join(target.dataDirectory, 'backup_manifest'), 'utf8')).not.toContain('CRC32C')
    },
  )
})
