import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseLsn } from '../../src/postgres/lsn.js'
import { walSegmentName } from '../../src/postgres/wal-segment.js'
import { walSegmentsOfRange } from './wal-segments-of-range.js'
import { type Cluster, createCluster } from './cluster.js'
import type { PostgresPrograms } from './postgres-programs.js'
import { mustRun } from './run-program.js'
import { sharedFixture } from './shared-fixture.js'

/** The size of the segments in {@link RealWal}. */
export const realWalSegmentSize: number = 1024 * 1024

/** A record, as PostgreSQL itself lists it. */
interface ListedRecord {
  readonly lsn: bigint
  readonly length: number
}

/** WAL that a real server wrote, in segments of 1 MiB on timeline 1. */
export interface RealWal {
  readonly major: number
  /** Where the segments are. */
  readonly directory: string
  readonly systemIdentifier: bigint
  readonly startLsn: bigint
  readonly endLsn: bigint
  /** By pg_waldump for 15, by the extension pg_walinspect for 18. */
  readonly records: readonly ListedRecord[]
}

/**
 * WAL of many small transactions, with a record larger than a segment, a SWITCH, compressed and plain images of pages,
 * subtransactions and replication origins. Made once per test run; nobody may change it.
 */
export async function realWal(programs: PostgresPrograms): Promise<RealWal> {
  const directory = await sharedFixture(`real-wal-${programs.major}`, async (directory) => {
    // With template0, whose removal is WAL too: a SWITCH then stands where hardly anything is empty behind it.
    const settings = { wal_level: 'logical', wal_keep_size: '1GB', checkpoint_timeout: '1h' }
    const cluster = await createCluster(programs, { hasTemplate0: true, walSegmentMegabytes: 1, settings })
    try {
      const start = await begin(cluster)
      await runLoad(cluster)
      await saveWal(cluster, directory, start)
    } finally {
      await cluster.remove()
    }
  })
  return readRealWal(directory)
}

/**
 * WAL of a server that crashed in the middle of a record whose second half never reached the disk: after its restart, a
 * record of OVERWRITE_CONTRECORD takes the place of that half.
 */
export async function overwrittenWal(programs: PostgresPrograms): Promise<RealWal> {
  const directory = await sharedFixture(`overwritten-wal-${programs.major}`, async (directory) => {
    const settings = { wal_keep_size: '1GB', checkpoint_timeout: '1h' }
    const cluster = await createCluster(programs, { hasTemplate0: true, walSegmentMegabytes: 1, settings })
    try {
      const start = await begin(cluster)
      await cluster.sql(`SELECT pg_logical_emit_message(false, '', repeat('x', 2500000))`)
      const [last] = await cluster.sql<{ name: string }>(
        'SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS name',
      )
      await cluster.stop('immediate')
      await rm(join(cluster.dataDirectory, 'pg_wal', last?.name ?? ''))
      await cluster.start()
      await cluster.sql('CREATE TABLE after_crash AS SELECT n FROM generate_series(1, 1000) AS n')
      await saveWal(cluster, directory, start)
    } finally {
      await cluster.remove()
    }
  })
  return readRealWal(directory)
}

async function begin(cluster: Cluster): Promise<string> {
  // So that the range begins in the middle of a segment, and of a page.
  await cluster.sql('CREATE TABLE before AS SELECT n FROM generate_series(1, 3000) AS n')
  await cluster.sql(`CREATE TABLE accounts (id int PRIMARY KEY, balance int, filler char(84));
    INSERT INTO accounts SELECT n, 0, '' FROM generate_series(1, 2000) AS n`)
  await cluster.sql(`SELECT pg_replication_origin_create('elsewhere')`)
  return currentLsn(cluster)
}

const transactions = (count: number): string => `
  DO $$ BEGIN FOR n IN 1..${count} LOOP
    UPDATE accounts SET balance = balance + n WHERE id = 1 + (n * 37) % 2000;
    COMMIT;
  END LOOP; END $$`

const load: readonly string[] = [
  'CHECKPOINT',
  transactions(2000),
  `SELECT pg_logical_emit_message(false, 'large', repeat('x', 2500000))`,
  'SET wal_compression = pglz',
  'CHECKPOINT',
  transactions(2000),
  'SELECT pg_switch_wal()',
  'BEGIN; SAVEPOINT one; UPDATE accounts SET balance = 1 WHERE id < 9; RELEASE one; COMMIT',
  `SELECT pg_replication_origin_session_setup('elsewhere')`,
  transactions(100),
  'CREATE INDEX ON accounts (balance)',
  transactions(1000),
]

async function runLoad(cluster: Cluster): Promise<void> {
  const session = await cluster.client()
  try {
    for (const statement of load) await session.query(statement)
  } finally {
    await session.end()
  }
}

/** Copies the WAL from `start` to now, and what PostgreSQL says of its records. */
async function saveWal(cluster: Cluster, directory: string, start: string): Promise<void> {
  const [control] = await cluster.sql<{ id: string }>(
    'SELECT system_identifier::text AS id FROM pg_control_system()',
  )
  await cluster.sql('CREATE EXTENSION IF NOT EXISTS pg_walinspect')
  const end = await currentLsn(cluster)
  await cluster.sql('SELECT pg_switch_wal()')
  const range = { timeline: 1, startLsn: parseLsn(start) ?? 0n, endLsn: parseLsn(end) ?? 0n }
  for (const { name } of walSegmentsOfRange(range, realWalSegmentSize)) {
    await copyFile(join(cluster.dataDirectory, 'pg_wal', name), join(directory, name))
  }
  const dump = cluster.programs.path('pg_waldump')
  const records =
    dump === undefined
      ? await inspectWal(cluster, start, end)
      : await dumpWal(dump, directory, { start, end })
  const saved = { major: cluster.programs.major, systemIdentifier: control?.id, start, end, records }
  await writeFile(join(directory, 'wal.json'), JSON.stringify(saved))
}

async function currentLsn(cluster: Cluster): Promise<string> {
  const [row] = await cluster.sql<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn')
  return row?.lsn ?? ''
}

async function inspectWal(cluster: Cluster, start: string, end: string): Promise<[string, number][]> {
  const rows = await cluster.sql<{ lsn: string; length: number }>(
    `SELECT start_lsn::text AS lsn, record_length AS length FROM pg_get_wal_records_info('${start}', '${end}')`,
  )
  return rows.map(({ lsn, length }) => [lsn, length])
}

async function dumpWal(
  program: string,
  directory: string,
  { start, end }: { readonly start: string; readonly end: string },
): Promise<[string, number][]> {
  const { stdout } = await mustRun(program, [`--path=${directory}`, `--start=${start}`, `--end=${end}`])
  const lines = stdout.matchAll(/^rmgr: .* len \(rec\/tot\): +[0-9]+\/ *([0-9]+), tx: .*? lsn: ([^,]+),/gm)
  return Array.from(lines, ([, length, lsn]) => [lsn ?? '', Number(length)])
}

interface SavedWal {
  readonly major: number
  readonly systemIdentifier: string
  readonly start: string
  readonly end: string
  readonly records: readonly [string, number][]
}

async function readRealWal(directory: string): Promise<RealWal> {
  const saved = JSON.parse(await readFile(join(directory, 'wal.json'), 'utf8')) as SavedWal
  return {
    major: saved.major,
    directory,
    systemIdentifier: BigInt(saved.systemIdentifier),
    startLsn: parseLsn(saved.start) ?? 0n,
    endLsn: parseLsn(saved.end) ?? 0n,
    records: saved.records.map(([lsn, length]) => ({ lsn: parseLsn(lsn) ?? 0n, length })),
  }
}

/** The bytes of all segments, one behind the other. */
export async function readSegments(wal: RealWal): Promise<{ firstSegment: bigint; bytes: Buffer }> {
  const segments = [...walSegmentsOfRange({ timeline: 1, ...wal }, realWalSegmentSize)]
  const contents = segments.map(({ segmentNumber }) =>
    readFile(join(wal.directory, walSegmentName(1, segmentNumber, realWalSegmentSize))),
  )
  return { firstSegment: segments[0]?.segmentNumber ?? 0n, bytes: Buffer.concat(await Promise.all(contents)) }
}
