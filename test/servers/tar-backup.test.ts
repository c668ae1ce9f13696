import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { restoreBackup, verifyBackup } from 'pbmanifest'
import { expect, test } from 'vitest'
import { appendSettings, Cluster, createCluster } from '../helpers/cluster.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { takeBaseBackup } from '../helpers/replication-connection.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory } from '../helpers/scratch-directory.js'

const timeout = 240_000

/** Restores it from a command, beside the cluster that it is of, and starts a server in what came out. */
async function expectRestored(cluster: Cluster, directory: string): Promise<void> {
  const scratch = createScratchDirectory()
  const restored = new Cluster(cluster.programs, scratch)
  const source = { fetchCommand: `cat '${directory}/%f'` }
  try {
    await expect(restoreBackup(source, { directory: restored.dataDirectory })).rejects.toMatchObject({
      message: expect.stringMatching(/exists but is not empty$/),
      hint: expect.stringContaining('--tablespace-mapping'),
    })
    const [place] = await cluster.sql<{ from: string }>(
      `SELECT pg_tablespace_location(oid) AS from FROM pg_tablespace WHERE spcname = 'elsewhere'`,
    )
    const tablespaceMappings = [{ from: place?.from ?? '', to: join(scratch.path, 'elsewhere') }]
    await restoreBackup(source, { directory: restored.dataDirectory, tablespaceMappings, jobs: 2 })
    expect(await verifyBackup(restored.dataDirectory)).toMatchObject({ verdict: 'verified' })
    await appendSettings(restored, { unix_socket_directories: restored.socketDirectory })
    const { user } = restored
    if (user !== undefined) await mustRun('chown', ['-hR', `${user.uid}:${user.gid}`, scratch.path])
    await restored.start()
    const sum = 'SELECT sum(n) AS sum FROM there'
    expect(await restored.sql(sum)).toEqual(await cluster.sql(sum))
  } finally {
    await restored.remove()
  }
}

test('the archives that PostgreSQL 18 sends verify as a tar backup', { timeout }, async () => {
  const cluster = await createCluster(await embeddedPostgres())
  try {
    await cluster.createTablespace('elsewhere')
    await cluster.sql(
      'CREATE TABLE there TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 20000) AS n',
    )
    const { archives, manifest } = await takeBaseBackup(cluster, { label: 'tar', tablespaceMap: true })
    const directory = dirname(archives[0]?.path ?? '')
    writeFileSync(join(directory, 'backup_manifest'), manifest)
    const report = await verifyBackup(directory)
    expect(report).toMatchObject({
      format: 'tar',
      verdict: 'verified',
      problems: [],
      manifest: { version: 2 },
    })
    expect(report.filesChecked).toBeGreaterThan(600)
    expect(report.notChecked.map(({ what }) => what)).not.toContain('unseen-files')
    await expectRestored(cluster, directory)
  } finally {
    await cluster.remove()
  }
})
