import { readFile } from 'node:fs/promises'
import { pgBaseBackup } from '../helpers/base-backup.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import type { PostgresPrograms } from '../helpers/postgres-programs.js'
import { realBackup } from '../helpers/real-backups.js'
import { takeBaseBackup } from '../helpers/replication-connection.js'
import { twoTimelinesBackup } from '../helpers/two-timelines.js'
import { writeOddFiles } from '../helpers/odd-files.js'

/** A manifest as a real server wrote it. */
export interface ManifestGolden {
  /** For example `PostgreSQL 18, SHA256`. */
  readonly name: string
  readonly bytes: Buffer
}

const algorithms = ['CRC32C', 'SHA224', 'SHA256', 'SHA384', 'SHA512', 'NONE'] as const

/**
 * Manifests of PostgreSQL 15, one after the other: version 1 with every checksum algorithm, none, all names encoded, odd
 * names, two WAL ranges.
 */
export async function* goldensOf15(programs: PostgresPrograms): AsyncGenerator<ManifestGolden, void> {
  yield await readGolden('tablespaces and odd names', (await realBackup(programs)).manifestPath)
  yield await readGolden('two timelines', (await twoTimelinesBackup(programs)).manifestPath)
  const cluster = await createCluster(programs, { walSegmentMegabytes: 1 })
  try {
    await prepare(cluster)
    const kinds = [
      ...algorithms.map((algorithm) => ({ name: algorithm, args: [`--manifest-checksums=${algorithm}`] })),
      { name: 'force-encode', args: ['--manifest-force-encode'] },
      { name: 'WAL fetched', args: ['--wal-method=fetch'] },
    ]
    for (const { name, args } of kinds) {
      const backup = await pgBaseBackup(cluster, { name, args: ['--wal-method=none', ...args] })
      yield await readGolden(name, backup.manifestPath)
    }
  } finally {
    await cluster.remove()
  }
}

/** Manifests of PostgreSQL 18: version 2 with the same, and of an incremental backup. */
export async function* goldensOf18(programs: PostgresPrograms): AsyncGenerator<ManifestGolden, void> {
  const cluster = await createCluster(programs, { settings: { summarize_wal: true } })
  try {
    await prepare(cluster)
    for (const manifestChecksums of algorithms) {
      const { manifest } = await takeBaseBackup(cluster, { label: manifestChecksums, manifestChecksums })
      yield { name: `PostgreSQL 18, ${manifestChecksums}`, bytes: manifest }
    }
    const forced = await takeBaseBackup(cluster, { label: 'forced', manifest: 'force-encode' })
    yield { name: 'PostgreSQL 18, force-encode', bytes: forced.manifest }
    const next = await takeBaseBackup(cluster, { label: 'next', incrementalFrom: forced.manifest })
    yield { name: 'PostgreSQL 18, incremental', bytes: next.manifest }
  } finally {
    await cluster.remove()
  }
}

async function readGolden(name: string, manifestPath: string): Promise<ManifestGolden> {
  return { name: `PostgreSQL 15, ${name}`, bytes: await readFile(manifestPath) }
}

async function prepare(cluster: Cluster): Promise<void> {
  await cluster.createTablespace('elsewhere')
  await cluster.sql('CREATE TABLE t TABLESPACE elsewhere AS SELECT n FROM generate_series(1, 1000) AS n')
  await writeOddFiles(cluster.dataDirectory)
}
