import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mergeFragments } from '../../src/manifest/merge/merge-fragments.js'
import { parseLsn } from '../../src/postgres/lsn.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import type { PlainBackup } from '../helpers/plain-backup.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { type StreamedBackup, takeBaseBackup } from '../helpers/replication-connection.js'
import { unpackBackup } from '../helpers/unpack-backup.js'
import { parseBytes } from '../manifest/parse-bytes.js'
import { comparable, writeFragments } from './write-fragments.js'

const timeout = 240_000

/** What the server says of a manifest is the proof that it is one: it takes it for the base of the next backup. */
describe('PostgreSQL 18', () => {
  let cluster: Cluster
  let full: StreamedBackup
  let unpacked: PlainBackup

  beforeAll(async () => {
    cluster = await createCluster(await embeddedPostgres(), { settings: { summarize_wal: true } })
    await cluster.createTablespace('elsewhere')
    await cluster.sql(`
      CREATE TABLE here AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 20000) AS n;
      CREATE TABLE there TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 20000) AS n;
      CREATE UNLOGGED TABLE unlogged AS SELECT n FROM generate_series(1, 1000) AS n;
    `)
    full = await takeBaseBackup(cluster, { label: 'full' })
    unpacked = await unpackBackup(full, join(cluster.scratch.path, 'unpacked'))
    rmSync(unpacked.manifestPath)
  }, timeout)

  afterAll(() => cluster.remove())

  test('takes a manifest that we merged for the base of an incremental backup', { timeout }, async () => {
    const endLsn = parseLsn(full.endLsn)
    if (endLsn === undefined) throw new Error(`the server said that the backup ended at "${full.endLsn}"`)
    const merged = await mergeFragments({
      fragments: await writeFragments(unpacked.directory, unpacked.root),
      output: unpacked.manifestPath,
      pgdata: unpacked.directory,
      endLsn,
    })
    const ours = readFileSync(unpacked.manifestPath)
    const server = parseBytes(full.manifest)
    expect(merged).toMatchObject({
      version: 2,
      systemIdentifier: server.systemIdentifier,
      walRanges: server.walRanges,
    })
    expect(comparable(parseBytes(ours).files)).toEqual(comparable(server.files))

    await cluster.sql('UPDATE here SET n = -n WHERE n = 1; UPDATE there SET n = -n WHERE n = 1')
    const next = await takeBaseBackup(cluster, { label: 'next', incrementalFrom: ours })
    const names = parseBytes(next.manifest).files.map((file) => file.pathname)
    expect(names.filter((name) => name.startsWith('base/') && name.includes('/INCREMENTAL.'))).not.toEqual([])
    expect(
      names.filter((name) => name.startsWith('pg_tblspc/') && name.includes('/INCREMENTAL.')),
    ).toHaveLength(1)
  })

  test('refuses the manifest of another cluster', { timeout }, async () => {
    const output = join(unpacked.root, 'foreign_manifest')
    await mergeFragments({
      fragments: await writeFragments(unpacked.directory, unpacked.root, 'SHA256'),
      output,
      systemIdentifier: 1n,
      walRanges: parseBytes(full.manifest).walRanges,
    })
    const backup = takeBaseBackup(cluster, { label: 'foreign', incrementalFrom: readFileSync(output) })
    await expect(backup).rejects.toThrow('system identifier')
  })
})
