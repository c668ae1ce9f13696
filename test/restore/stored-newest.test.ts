import { readdirSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { restoreBackup, type RestoreReport } from 'pbmanifest'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { Cluster, createCluster } from '../helpers/cluster.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { BUCKET, type ObjectStore, startStore } from '../helpers/stores/object-store.js'
import { runBackupProgram } from '../transfer/client/backup-program.js'

const timeout = 240_000

let cluster: Cluster
let target: Cluster
let location: string
let scratch: ScratchDirectory
let store: ObjectStore

beforeAll(async () => {
  scratch = createScratchDirectory()
  store = await startStore('s3rver')
  cluster = await createCluster(await embeddedPostgres(), {})
  location = await cluster.createTablespace('fast')
  await cluster.sql('CREATE TABLE numbers TABLESPACE fast AS SELECT n FROM generate_series(1, 20000) AS n')
  for (const [name, args] of [
    ['tar', ['-Ft', '-z']],
    ['plain', [`-T${location}=${join(scratch.path, 'moved')}`]],
  ] as const) {
    const directory = join(scratch.path, name)
    const { status, stderr } = await runBackupProgram(cluster, { directory, args })
    if (status !== 0) throw new Error(stderr)
    await store.putDirectory(directory, `${name}/`)
  }
}, timeout)

beforeEach(() => {
  target = new Cluster(cluster.programs, createScratchDirectory())
})

afterEach(() => target.remove())

afterAll(async () => {
  await cluster.remove()
  await store.close()
  scratch.remove()
})

/** A store has no links. */
function linkTablespace(place: string): void {
  const parent = join(target.dataDirectory, 'pg_tblspc')
  for (const oid of readdirSync(parent)) {
    renameSync(join(parent, oid), place)
    symlinkSync(place, join(parent, oid))
  }
}

async function restoreAndStart(name: string): Promise<RestoreReport> {
  const place = join(target.dataDirectory, '../fast')
  const report = await restoreBackup(
    { address: `s3://${BUCKET}/${name}`, store: { env: store.env } },
    {
      directory: target.dataDirectory,
      tablespaceMappings: [{ from: location, to: place }],
      jobs: 2,
      sync: false,
    },
  )
  if (name === 'plain') linkTablespace(place)
  const { user } = target
  if (user !== undefined) {
    await mustRun('chown', ['-hR', `${user.uid}:${user.gid}`, join(target.dataDirectory, '..')])
  }
  await mustRun('sh', [
    '-c',
    `echo "unix_socket_directories = '${target.socketDirectory}'" >> "$1"`,
    'sh',
    join(target.dataDirectory, 'postgresql.auto.conf'),
  ])
  await target.start()
  expect(await target.sql('SELECT sum(n)::text AS sum FROM numbers')).toEqual([{ sum: '200010000' }])
  return report
}

test.each(['tar', 'plain'])(
  'a backup of PostgreSQL 18 in %s format in a store is restored, and a server starts',
  { timeout },
  async (name) => {
    const report = await restoreAndStart(name)
    expect(report.walRecords).toBeGreaterThan(0)
    expect(report.tablespaces).toHaveLength(name === 'tar' ? 1 : 0)
  },
)
