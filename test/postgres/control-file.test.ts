import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type ControlFile,
  isControlFileOfUnknownVersion,
  mockAuthenticationNonce,
  parseControlFile,
} from '../../src/postgres/control-file.js'
import { crc32c } from '../../src/postgres/crc32c.js'
import { formatLsn } from '../../src/postgres/lsn.js'
import { segmentHoldingStart, walSegmentName } from '../../src/postgres/wal-segment.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import { newestPostgres } from '../helpers/postgres-programs.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { mustRun } from '../helpers/run-program.js'
import { twoTimelinesBackup } from '../helpers/two-timelines.js'
import { badFileError } from './bad-file-error.js'
import { controlFileBytes } from './control-file-bytes.js'

const name = 'global/pg_control'

describe('parseControlFile', () => {
  test.each([
    [1300, undefined, undefined],
    [1700, 'logical', undefined],
    [1800, 'logical', true],
    [1902, 'logical', true],
    [1903, 'logical', true],
    [1905, 'logical', true],
  ])('reads version %d', (version, checkPointWalLevel, defaultCharSignedness) => {
    const controlFile = parseControlFile(controlFileBytes(version), name)
    expect(controlFile).toMatchObject({
      systemIdentifier: 7711113546893945671n,
      controlVersion: version,
      state: 'in production',
      walLevel: 'replica',
      walSegmentSize: 16777216,
      dataChecksumVersion: 1,
      checkPointCopy: { nextXid: (3n << 32n) | 1000n, walLevel: checkPointWalLevel },
      defaultCharSignedness,
    })
  })

  test.each([
    [1800, 296],
    [1905, 312],
  ])('needs of version %d no more than the struct, anywhere in a buffer', (version, size) => {
    const bytes = controlFileBytes(version)
    const moved = Buffer.concat([Buffer.alloc(3), bytes.subarray(0, size)]).subarray(3)
    expect(parseControlFile(moved, name)).toEqual(parseControlFile(bytes, name))
  })

  test.each([
    [1300, '43872087'],
    [1700, '43872087'],
    [1800, '93513075'],
  ])('a file of version %d that it takes has always the same CRC-32C as a whole', (version, shown) => {
    const whole = Buffer.alloc(4)
    whole.writeUInt32LE(crc32c(controlFileBytes(version)))
    expect(whole.toString('hex')).toBe(shown)
  })

  test('knows the state of data checksums at the checkpoint where servers could switch them', () => {
    const states = [1902, 1903, 1905].map((version) => {
      const bytes = controlFileBytes(version, (written) => written.writeUInt32LE(3, 132))
      return parseControlFile(bytes, name).checkPointCopy.dataChecksumVersion
    })
    expect(states).toEqual([3, 3, undefined])
  })

  test('refuses any single bit that is wrong', () => {
    const bytes = controlFileBytes(1300)
    for (let offset = 12; offset < 292; offset++) {
      const damaged = Buffer.from(bytes)
      damaged.writeUInt8(bytes.readUInt8(offset) ^ 0x10, offset)
      expect(() => parseControlFile(damaged, name)).toThrow(badFileError(`"${name}": CRC is incorrect`))
    }
  })

  test.each([
    ['an empty file', new Uint8Array(), 'could not read file: read 0 of 296'],
    ['a file cut off', controlFileBytes(1800).subarray(0, 295), 'could not read file: read 295 of 296'],
    ['a newer file cut off', controlFileBytes(1905).subarray(0, 311), 'could not read file: read 311 of 312'],
    [
      'a file of zeros',
      new Uint8Array(8192),
      'unexpected control file version 0, known are 1300, 1700, 1800, 1902, 1903, 1905',
    ],
    [
      'another version',
      controlFileBytes(1201),
      'unexpected control file version 1201, known are 1300, 1700, 1800, 1902, 1903, 1905',
    ],
    ['the other byte order', controlFileBytes(1300).swap32(), 'possible byte ordering mismatch'],
    [
      'an unknown state',
      controlFileBytes(1300, (bytes) => bytes.writeUInt32LE(7, 16)),
      'unrecognized status code 7',
    ],
    [
      'an unknown WAL level',
      controlFileBytes(1300, (bytes) => bytes.writeInt32LE(-1, 172)),
      'unrecognized wal_level -1',
    ],
    [
      'an unknown WAL level in the checkpoint',
      controlFileBytes(1700, (bytes) => bytes.writeInt32LE(3, 60)),
      'unrecognized wal_level 3',
    ],
    [
      'a WAL segment size that cannot be',
      controlFileBytes(1300, (bytes) => bytes.writeUInt32LE(1000, 228)),
      'invalid WAL segment size in control file (1000 bytes)',
    ],
  ])('refuses %s', (_, bytes, what) => {
    expect(() => parseControlFile(bytes, name)).toThrow(badFileError(`"${name}": ${what}`))
  })
})

describe('isControlFileOfUnknownVersion', () => {
  test.each([1901, 1904, 1906, 2000, 2703])('says so of version %d', (version) => {
    expect(isControlFileOfUnknownVersion(controlFileBytes(version))).toBe(true)
  })

  test.each([0, 1201, 1300, 1301, 1801, 1903, 1905, 10_000, 20_000, 2000 * 0x1_0000])(
    'does not say so of version %d',
    (version) => {
      expect(isControlFileOfUnknownVersion(controlFileBytes(version))).toBe(false)
    },
  )

  test('does not say so of a file that is cut off', () => {
    expect(isControlFileOfUnknownVersion(controlFileBytes(2000).subarray(0, 200))).toBe(false)
  })
})

const onOff = (value: boolean): string => (value ? 'on' : 'off')
const yesNo = (value: boolean): string => (value ? 'yes' : 'no')

/** Every line of pg_controldata but one, in its own words. */
function asControlData(file: ControlFile): Record<string, string> {
  const { checkPointCopy } = file
  return {
    'pg_control version number': String(file.controlVersion),
    'Catalog version number': String(file.catalogVersion),
    'Database system identifier': String(file.systemIdentifier),
    'Database cluster state': file.state,
    'pg_control last modified': asCTime(file.time),
    'Latest checkpoint location': formatLsn(file.checkPoint),
    "Latest checkpoint's REDO location": formatLsn(checkPointCopy.redo),
    "Latest checkpoint's REDO WAL file": walSegmentName(
      checkPointCopy.timeline,
      segmentHoldingStart(checkPointCopy.redo, file.walSegmentSize),
      file.walSegmentSize,
    ),
    "Latest checkpoint's TimeLineID": String(checkPointCopy.timeline),
    "Latest checkpoint's PrevTimeLineID": String(checkPointCopy.prevTimeline),
    "Latest checkpoint's full_page_writes": onOff(checkPointCopy.fullPageWrites),
    "Latest checkpoint's NextXID": `${checkPointCopy.nextXid >> 32n}:${checkPointCopy.nextXid & 0xffff_ffffn}`,
    "Latest checkpoint's NextOID": String(checkPointCopy.nextOid),
    "Latest checkpoint's NextMultiXactId": String(checkPointCopy.nextMulti),
    "Latest checkpoint's NextMultiOffset": String(checkPointCopy.nextMultiOffset),
    "Latest checkpoint's oldestXID": String(checkPointCopy.oldestXid),
    "Latest checkpoint's oldestXID's DB": String(checkPointCopy.oldestXidDatabase),
    "Latest checkpoint's oldestActiveXID": String(checkPointCopy.oldestActiveXid),
    "Latest checkpoint's oldestMultiXid": String(checkPointCopy.oldestMulti),
    "Latest checkpoint's oldestMulti's DB": String(checkPointCopy.oldestMultiDatabase),
    "Latest checkpoint's oldestCommitTsXid": String(checkPointCopy.oldestCommitTimestampXid),
    "Latest checkpoint's newestCommitTsXid": String(checkPointCopy.newestCommitTimestampXid),
    'Time of latest checkpoint': asCTime(checkPointCopy.time),
    'Fake LSN counter for unlogged rels': formatLsn(file.unloggedLsn),
    'Minimum recovery ending location': formatLsn(file.minRecoveryPoint),
    "Min recovery ending loc's timeline": String(file.minRecoveryPointTimeline),
    'Backup start location': formatLsn(file.backupStartPoint),
    'Backup end location': formatLsn(file.backupEndPoint),
    'End-of-backup record required': yesNo(file.backupEndRequired),
    'wal_level setting': file.walLevel,
    'wal_log_hints setting': onOff(file.walLogHints),
    'max_connections setting': String(file.maxConnections),
    'max_worker_processes setting': String(file.maxWorkerProcesses),
    'max_wal_senders setting': String(file.maxWalSenders),
    'max_prepared_xacts setting': String(file.maxPreparedTransactions),
    'max_locks_per_xact setting': String(file.maxLocksPerTransaction),
    'track_commit_timestamp setting': onOff(file.trackCommitTimestamp),
    'Maximum data alignment': String(file.maxDataAlignment),
    'Database block size': String(file.blockSize),
    'Blocks per segment of large relation': String(file.relationSegmentSize),
    'WAL block size': String(file.walBlockSize),
    'Bytes per WAL segment': String(file.walSegmentSize),
    'Maximum length of identifiers': String(file.nameDataLength),
    'Maximum columns in an index': String(file.indexMaxKeys),
    'Maximum size of a TOAST chunk': String(file.toastMaxChunkSize),
    'Size of a large-object chunk': String(file.largeObjectBlockSize),
    'Date/time type storage': '64-bit integers',
    'Float8 argument passing': file.float8ByValue ? 'by value' : 'by reference',
    'Data page checksum version': String(file.dataChecksumVersion),
  }
}

/** A time as C's `%c` writes it. */
function asCTime(seconds: number): string {
  return new Date(seconds * 1000)
    .toUTCString()
    .replace(/^(\w+), (\d+) (\w+) (\d+) (\S+) GMT$/, '$1 $3 $2 $5 $4')
    .replace(/^(\w+ \w+) 0/, '$1  ')
}

async function expectAsPgControlData(program: string, dataDirectory: string): Promise<ControlFile> {
  const { stdout } = await mustRun(program, [dataDirectory])
  const said = stdout
    .trimEnd()
    .split('\n')
    .map((line) => /^(.*?): *(.*)$/.exec(line)?.slice(1) ?? [line])
  const bytes = await readFile(join(dataDirectory, name))
  const controlFile = parseControlFile(bytes, name)
  const nonce = mockAuthenticationNonce(bytes, name).toString('hex')
  expect({ ...asControlData(controlFile), 'Mock authentication nonce': nonce }).toEqual(
    Object.fromEntries(said),
  )
  return controlFile
}

describeWithDebianPostgres('parseControlFile on files of PostgreSQL 15', (programs) => {
  const program = programs.path('pg_controldata') ?? 'pg_controldata'

  test('reads in a backup of a primary what pg_controldata reads', async () => {
    const { directory } = await realBackup(programs)
    const controlFile = await expectAsPgControlData(program, directory)
    expect(controlFile).toMatchObject({ state: 'in production', walSegmentSize: 1024 * 1024 })
  }, 240_000)

  test('reads in a backup of a standby what pg_controldata reads', async () => {
    const { directory } = await twoTimelinesBackup(programs)
    const controlFile = await expectAsPgControlData(program, directory)
    expect(controlFile).toMatchObject({ state: 'in archive recovery', minRecoveryPointTimeline: 2 })
    expect(controlFile.minRecoveryPoint).toBeGreaterThan(0n)
  }, 240_000)
})

describe.each(newestPostgres())('parseControlFile on a file of $name', ({ programs }) => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await createCluster(await programs(), { settings: { wal_level: 'logical' } })
  }, 240_000)
  afterAll(() => cluster.remove())

  test('reads what the server itself reads', async () => {
    const [row] = await cluster.sql<Record<string, unknown> & { bytes: Buffer }>(`
      SELECT *, pg_read_binary_file('global/pg_control') AS bytes,
             extract(epoch FROM pg_control_last_modified)::int8 AS modified,
             extract(epoch FROM checkpoint_time)::int8 AS checkpointed,
             current_setting('max_connections') AS max_connections,
             current_setting('max_wal_senders') AS max_wal_senders
        FROM pg_control_system(), pg_control_checkpoint(), pg_control_recovery(), pg_control_init()`)
    if (row === undefined) throw new Error('no row')
    const controlFile = parseControlFile(row.bytes, name)
    const { checkPointCopy } = controlFile
    const lsnText = (lsn: bigint): string => formatLsn(lsn, cluster.programs.major < 19 ? 1 : 8)
    expect({ ...controlFile, crc: undefined }).toMatchObject({
      state: 'in production',
      walLevel: 'logical',
      defaultCharSignedness: row['default_char_signedness'],
      backupEndRequired: row['end_of_backup_record_required'],
      float8ByValue: row['float8_pass_by_value'],
      dataChecksumVersion: 1,
      floatFormat: 1234567,
    })
    const ours = {
      pg_control_version: controlFile.controlVersion,
      catalog_version_no: controlFile.catalogVersion,
      system_identifier: controlFile.systemIdentifier,
      modified: controlFile.time,
      checkpoint_lsn: lsnText(controlFile.checkPoint),
      redo_lsn: lsnText(checkPointCopy.redo),
      timeline_id: checkPointCopy.timeline,
      prev_timeline_id: checkPointCopy.prevTimeline,
      full_page_writes: checkPointCopy.fullPageWrites,
      next_xid: `${checkPointCopy.nextXid >> 32n}:${checkPointCopy.nextXid & 0xffff_ffffn}`,
      next_oid: checkPointCopy.nextOid,
      next_multixact_id: checkPointCopy.nextMulti,
      next_multi_offset: checkPointCopy.nextMultiOffset,
      oldest_xid: checkPointCopy.oldestXid,
      oldest_xid_dbid: checkPointCopy.oldestXidDatabase,
      oldest_active_xid: checkPointCopy.oldestActiveXid,
      oldest_multi_xid: checkPointCopy.oldestMulti,
      oldest_multi_dbid: checkPointCopy.oldestMultiDatabase,
      oldest_commit_ts_xid: checkPointCopy.oldestCommitTimestampXid,
      newest_commit_ts_xid: checkPointCopy.newestCommitTimestampXid,
      checkpointed: checkPointCopy.time,
      min_recovery_end_lsn: lsnText(controlFile.minRecoveryPoint),
      min_recovery_end_timeline: controlFile.minRecoveryPointTimeline,
      backup_start_lsn: lsnText(controlFile.backupStartPoint),
      backup_end_lsn: lsnText(controlFile.backupEndPoint),
      max_data_alignment: controlFile.maxDataAlignment,
      database_block_size: controlFile.blockSize,
      blocks_per_segment: controlFile.relationSegmentSize,
      wal_block_size: controlFile.walBlockSize,
      bytes_per_wal_segment: controlFile.walSegmentSize,
      max_identifier_length: controlFile.nameDataLength,
      max_index_columns: controlFile.indexMaxKeys,
      max_toast_chunk_size: controlFile.toastMaxChunkSize,
      large_object_chunk_size: controlFile.largeObjectBlockSize,
      data_page_checksum_version: controlFile.dataChecksumVersion,
      max_connections: controlFile.maxConnections,
      max_wal_senders: controlFile.maxWalSenders,
    }
    const said = Object.keys(ours).map((key) => [key, String(row[key])])
    const read = Object.entries(ours).map(([key, value]) => [key, String(value)])
    expect(Object.fromEntries(read)).toEqual(Object.fromEntries(said))
  })
})
