import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createCluster } from '../helpers/cluster.js'
import { copyBackup } from '../helpers/copy-backup.js'
import { pgVerifyBackup } from '../helpers/pg-verify-backup.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { realBackup } from '../helpers/real-backups.js'
import { connectForReplication, takeBaseBackup, uploadManifest } from '../helpers/replication-connection.js'
import { describeWithDebianPostgres, requireDebianPostgres } from '../helpers/requires.js'
import { twoTimelinesBackup } from '../helpers/two-timelines.js'
import { unpackBackup } from '../helpers/unpack-backup.js'

const timeout = 240_000

interface Manifest {
  readonly 'PostgreSQL-Backup-Manifest-Version': number
  readonly Files: readonly { readonly Path?: string; readonly 'Encoded-Path'?: string }[]
  readonly 'WAL-Ranges': readonly { readonly Timeline: number }[]
}

/** Good enough to look at: the system identifier loses its last digits. */
function looseManifest(bytes: Buffer): Manifest {
  const manifest: Manifest = JSON.parse(bytes.toString())
  return manifest
}

describeWithDebianPostgres('PostgreSQL 15', (programs) => {
  test('a copy of the real backup verifies, with its tablespaces and odd names', { timeout }, async () => {
    const copy = await copyBackup(await realBackup(programs))
    onTestFinished(() => copy.remove())
    expect(await pgVerifyBackup(programs, [copy.directory])).toMatchObject({ status: 0, stderr: '' })
    expect(copy.tablespaces).toHaveLength(2)
    for (const { oid, directory } of copy.tablespaces) {
      expect(directory).toBe(join(copy.root, 'tablespaces', oid))
    }
    const { Files } = looseManifest(readFileSync(copy.manifestPath))
    expect(Files.filter((file) => file['Encoded-Path'] !== undefined)).toHaveLength(2)
    expect(Files.filter((file) => file.Path?.startsWith('odd '))).toHaveLength(6)
  })
})

test('a backup across a promotion has a WAL range on each timeline', { timeout }, async (context) => {
  const programs = requireDebianPostgres(context)
  const backup = await twoTimelinesBackup(programs)
  const manifest = looseManifest(readFileSync(backup.manifestPath))
  expect(manifest['WAL-Ranges'].map((range) => range.Timeline)).toStrictEqual([2, 1])
  expect(await pgVerifyBackup(programs, [backup.directory])).toMatchObject({ status: 0, stderr: '' })
})

describe('PostgreSQL 18', () => {
  test('a full and an incremental backup come over the protocol', { timeout }, async () => {
    const cluster = await createCluster(await embeddedPostgres(), { settings: { summarize_wal: true } })
    onTestFinished(() => cluster.remove())
    await cluster.createTablespace('elsewhere')
    await cluster.sql('CREATE TABLE t TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 1000) AS n')
    const full = await takeBaseBackup(cluster, { label: 'full' })
    expect(looseManifest(full.manifest)).toMatchObject({ 'PostgreSQL-Backup-Manifest-Version': 2 })
    const unpacked = await unpackBackup(full, join(cluster.scratch.path, 'unpacked'))
    expect(readFileSync(join(unpacked.directory, 'PG_VERSION'), 'utf8')).toBe('18\n')
    expect(unpacked.tablespaces).toHaveLength(1)

    const next = await takeBaseBackup(cluster, { label: 'incremental', incrementalFrom: full.manifest })
    const names = looseManifest(next.manifest).Files.map((file) => file.Path ?? '')
    expect(names.some((name) => name.includes('/INCREMENTAL.'))).toBe(true)
  })

  test('an uploaded manifest that is none is refused', { timeout }, async () => {
    const cluster = await createCluster(await embeddedPostgres(), { settings: { summarize_wal: true } })
    onTestFinished(() => cluster.remove())
    const connection = await connectForReplication(cluster)
    onTestFinished(() => connection.end())
    const upload = uploadManifest(connection, Buffer.from('{ "no": "manifest" }'))
    await expect(upload).rejects.toThrow('could not parse backup manifest')
    await expect(connection.query('SELECT 1 AS one')).resolves.toMatchObject({ rows: [{ one: 1 }] })
  })
})
