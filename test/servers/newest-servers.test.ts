import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { drillBackup, type DrillOptions, repairBackup, verifyBackup } from 'pbmanifest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mergeFragments } from '../../src/manifest/merge/merge-fragments.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import { pgVerifyBackup } from '../helpers/pg-verify-backup.js'
import { newestPostgres } from '../helpers/postgres-programs.js'
import { copyTree } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { parseBytes } from '../manifest/parse-bytes.js'
import { runBackupProgram } from '../transfer/client/backup-program.js'
import { writeFragments } from './write-fragments.js'

const timeout = 240_000

/** The lines of a manifest about WAL, byte for byte. */
function walRangesText(path: string): string {
  const text = readFileSync(path, 'utf8')
  return text.slice(text.indexOf('"WAL-Ranges"'), text.indexOf('"Manifest-Checksum"'))
}

describe.each(newestPostgres())('a backup of $name', ({ programs }) => {
  let cluster: Cluster
  let scratch: ScratchDirectory
  let directory: string
  let manifestPath: string

  beforeAll(async () => {
    scratch = createScratchDirectory()
    directory = join(scratch.path, 'backup')
    manifestPath = join(directory, 'backup_manifest')
    cluster = await createCluster(await programs(), { dataChecksums: true })
    await cluster.sql('CREATE TABLE numbers AS SELECT n FROM generate_series(1, 20000) AS n')
    const { status, stderr } = await runBackupProgram(cluster, { directory })
    if (status !== 0) throw new Error(stderr)
  }, timeout)

  afterAll(async () => {
    await cluster.remove()
    scratch.remove()
  })

  test('writes LSNs as the server itself does', async () => {
    const [range] = parseBytes(readFileSync(manifestPath)).walRanges
    const lsns = [range?.startLsn, range?.endLsn].map((lsn) => `'0/0'::pg_lsn + ${lsn}::numeric`)
    const [row] = await cluster.sql<{ first: string; last: string }>(
      `SELECT (${lsns[0]})::text AS first, (${lsns[1]})::text AS last`,
    )
    expect(walRangesText(manifestPath)).toContain(`"Start-LSN": "${row?.first}", "End-LSN": "${row?.last}" }`)
    expect(readFileSync(join(directory, 'backup_label'), 'utf8')).toContain(
      `START WAL LOCATION: ${row?.first} (file `,
    )
  })

  test('gets the same lines about WAL when its fragments are merged', { timeout }, async () => {
    const fragments = await writeFragments(directory, scratch.path)
    const output = join(scratch.path, 'merged_manifest')
    const endLsn = parseBytes(readFileSync(manifestPath)).walRanges[0]?.endLsn ?? 0n
    await mergeFragments({ fragments, output, pgdata: directory, endLsn })
    expect(walRangesText(output)).toBe(walRangesText(manifestPath))
    rmSync(output)
  })

  test('has nothing that cannot be checked', { timeout }, async () => {
    const report = await verifyBackup(directory)
    expect(report).toMatchObject({ verdict: 'verified', problems: [], warnings: [] })
    expect(report.notChecked.map(({ what }) => what)).toEqual(['files-written-later'])
    expect(report.pages.checked).toBeGreaterThan(100)
    expect(report.walRecords).toBeGreaterThan(0)
    const { programs: installed } = cluster
    if (installed.path('pg_verifybackup') === undefined) return
    expect(await pgVerifyBackup(installed, [directory])).toMatchObject({ status: 0, stderr: '' })
  })

  test('is repaired from a copy', { timeout }, async () => {
    const copy = join(scratch.path, 'copy')
    await copyTree(directory, copy)
    rmSync(join(copy, 'global/pg_control'))
    rmSync(join(copy, 'pg_notify'), { recursive: true })
    for (const name of readdirSync(join(copy, 'pg_wal'))) {
      if (/^[0-9A-F]{24}$/.test(name)) rmSync(join(copy, 'pg_wal', name))
    }
    expect(await repairBackup(copy, { from: directory, write: true })).toMatchObject({ verdict: 'verified' })
    rmSync(copy, { recursive: true })
  })

  test('gets a server that recovers in a drill', { timeout }, async () => {
    const sqlFile = join(scratch.path, 'checks.sql')
    writeFileSync(sqlFile, 'SELECT 1 / (count(*) / 20000) FROM numbers')
    const report = await drillBackup(directory, { ...drillOptions(cluster), amcheck: true, sqlFile })
    expect(report).toMatchObject({ verdict: 'passed', checks: [{}, { what: 'amcheck' }, { what: 'sql' }] })
    expect(report.recovery?.secondsToConsistency).toBeGreaterThan(0)
  })

  test(
    'holds no drill where the replay of WAL makes a tablespace, at the place of the original',
    { timeout },
    async () => {
      const location = await cluster.createTablespace('later')
      await cluster.sql('CREATE TABLE there TABLESPACE later AS SELECT 1 AS n')
      // Not as a backup, which would begin with a checkpoint.
      await cluster.stop('immediate')
      const report = await drillBackup(cluster.dataDirectory, drillOptions(cluster))
      expect(report).toMatchObject({
        verdict: 'failed',
        failure: { part: 'drill', message: expect.stringContaining('CREATE TABLESPACE') },
        copy: null,
      })
      expect(readdirSync(location)).toHaveLength(1)
    },
  )
})

function drillOptions({ programs, user, scratch }: Cluster): DrillOptions {
  return { bindir: programs.bin, scratchParent: scratch.path, ...(user && { as: user.name }) }
}
