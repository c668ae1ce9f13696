import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { verifyBackup } from 'pbmanifest'
import { expect, test } from 'vitest'
import { createCluster } from '../helpers/cluster.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { takeBaseBackup } from '../helpers/replication-connection.js'

const timeout = 120_000

test('the archives that PostgreSQL 18 sends verify as a tar backup', { timeout }, async () => {
  const cluster = await createCluster(await embeddedPostgres())
  try {
    await cluster.createTablespace('elsewhere')
    await cluster.sql(
      'CREATE TABLE there TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 20000) AS n',
    )
    const { archives, manifest } = await takeBaseBackup(cluster, { label: 'tar' })
    const directory = dirname(archives[0]?.path ?? '')
    writeFileSync(join(directory, 'backup_manifest'), manifest)
    const report = await verifyBackup(directory)
    expect(report).toMatchObject({
      format: 'tar',
      verdict: 'verified',
      problems: [],
      manifest: { version: 2 },
    })
    expect(report.filesChecked).toBeGreaterThan(900)
    expect(report.notChecked.map(({ what }) => what)).not.toContain('unseen-files')
  } finally {
    await cluster.remove()
  }
})
