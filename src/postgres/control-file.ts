import type { PbManifestError } from '../errors.js'
import { badFile } from './bad-file.js'
import {
  CHECK_POINT_COPY_OFFSET,
  type ControlFileLayout,
  controlFileLayouts,
  readField,
  readStruct,
  SMALLEST_CONTROL_FILE_DATA,
  type StructValues,
} from './control-file-layout.js'
import { crc32c } from './crc32c.js'
import { mayBeControlVersion } from './versions.js'
import { isWalSegmentSize } from './wal-segment.js'

/** The same in all layouts, known or not. */
const CONTROL_VERSION_OFFSET = 8

/** Of `dataChecksumVersion`: data pages have checksums. */
export const CHECKSUMS_ON = 1

/** What `global/pg_control` says about a database cluster; the same things as pg_controldata prints, without the nonce. */
export interface ControlFile extends Omit<StructValues<ControlFileLayout['fields']>, 'state' | 'walLevel'> {
  readonly systemIdentifier: bigint
  /** The layout of the file: 1300, 1700, 1800, 1905 ... */
  readonly controlVersion: number
  readonly catalogVersion: number
  readonly state: ClusterState
  /** When the file was last written: seconds since 1970-01-01 00:00:00 UTC. */
  readonly time: number
  /** The LSN of the last checkpoint's record. */
  readonly checkPoint: bigint
  readonly checkPointCopy: CheckPoint
  /** The LSN up to which recovery must replay; 0 outside recovery. */
  readonly minRecoveryPoint: bigint
  /** 0 outside recovery. */
  readonly minRecoveryPointTimeline: number
  readonly walLevel: WalLevel
  /** Bytes of a data page. */
  readonly blockSize: number
  /** Pages (not bytes) of one file of a relation. */
  readonly relationSegmentSize: number
  /** Bytes of a WAL page. */
  readonly walBlockSize: number
  /** Bytes of a WAL segment. */
  readonly walSegmentSize: number
  /** Pages of a segment of a simple LRU file; `undefined` before PostgreSQL 19. */
  readonly slruPagesPerSegment: number | undefined
  /**
   * 0 when data pages have no checksums, 1 when they have. In betas of PostgreSQL 19 also 2 and 3: these are being
   * switched off, or on, and pages may or may not have them.
   */
  readonly dataChecksumVersion: number
  /** Whether C's `char` has a sign; `undefined` before PostgreSQL 18. */
  readonly defaultCharSignedness: boolean | undefined
  /** The file's own CRC-32C, found to be right. */
  readonly crc: number
}

/** The body of a checkpoint record, of which pg_control keeps a copy. */
interface CheckPoint {
  /** Where recovery from this checkpoint begins to replay. */
  readonly redo: bigint
  readonly timeline: number
  /** The timeline before, when the checkpoint begins a new one; else equal to `timeline`. */
  readonly prevTimeline: number
  readonly fullPageWrites: boolean
  /** `undefined` before PostgreSQL 17. */
  readonly walLevel: WalLevel | undefined
  /** Whether logical decoding was enabled; `undefined` before PostgreSQL 19. */
  readonly logicalDecodingEnabled: boolean | undefined
  /** As {@link ControlFile.dataChecksumVersion}, at that moment; `undefined` but of betas of PostgreSQL 19. */
  readonly dataChecksumVersion: number | undefined
  /** The next full transaction id: the epoch in the upper 32 bits, the xid in the lower. */
  readonly nextXid: bigint
  readonly nextOid: number
  readonly nextMulti: number
  readonly nextMultiOffset: bigint
  readonly oldestXid: number
  readonly oldestXidDatabase: number
  readonly oldestMulti: number
  readonly oldestMultiDatabase: number
  /** Seconds since 1970-01-01 00:00:00 UTC. */
  readonly time: number
  readonly oldestCommitTimestampXid: number
  readonly newestCommitTimestampXid: number
  /** 0 in a shutdown checkpoint. */
  readonly oldestActiveXid: number
}

/**
 * The state of a database cluster, by its number, in the words of pg_controldata.
 *
 * @see src/include/catalog/pg_control.h (`DBState`), src/bin/pg_controldata/pg_controldata.c (`dbState`)
 */
const clusterStates = [
  'starting up',
  'shut down',
  'shut down in recovery',
  'shutting down',
  'in crash recovery',
  'in archive recovery',
  'in production',
] as const

type ClusterState = (typeof clusterStates)[number]

/** What the server writes into the WAL, the setting `wal_level`, by its number. @see src/include/access/xlog.h (`WalLevel`) */
const walLevels = ['minimal', 'replica', 'logical'] as const

type WalLevel = (typeof walLevels)[number]

/**
 * Reads `global/pg_control` of PostgreSQL 13 to 19, written on a little-endian machine.
 *
 * A server writes the file in place: a copy of it may be torn, and a wrong CRC is reason to read it again.
 *
 * @param bytes - the file; its first 312 bytes suffice.
 * @param name - the file's name, for messages.
 * @throws PbManifestError `BAD_FILE` when the file is too short, of the other byte order or of an unknown version, when
 * its CRC is wrong, or when a value in it has no meaning.
 * @see src/include/catalog/pg_control.h (`ControlFileData`), src/common/controldata_utils.c (`get_controlfile`)
 */
export function parseControlFile(bytes: Uint8Array, name: string): ControlFile {
  const layout = layoutOf(bytes, name)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const crc = view.getUint32(layout.crc, true)
  // After the version, not before as PostgreSQL's tools do it: the version says where the CRC is.
  if (crc32c(bytes, 0, layout.crc) !== crc) throw badFile(name, 'CRC is incorrect')

  const fields = readStruct(view, layout.fields)
  return {
    ...fields,
    state: meaning(clusterStates[fields.state], `unrecognized status code ${fields.state}`, name),
    walLevel: namedWalLevel(fields.walLevel, name),
    walSegmentSize: checkedWalSegmentSize(fields.walSegmentSize, name),
    checkPointCopy: readCheckPoint(view, layout, name),
    slruPagesPerSegment: readOptional(view, layout.slruPagesPerSegment, 'uint32'),
    defaultCharSignedness: readOptional(view, layout.defaultCharSignedness, 'bool'),
    crc,
  }
}

/**
 * Tells whether a control file is of a version of PostgreSQL that came after this program, or of another build of one that
 * it knows from before its release: nothing in it can be judged then, and nothing be called damaged.
 */
export function isControlFileOfUnknownVersion(bytes: Uint8Array): boolean {
  if (bytes.length < SMALLEST_CONTROL_FILE_DATA) return false
  const version = controlVersionOf(bytes)
  return !controlFileLayouts.has(version) && mayBeControlVersion(version)
}

const NONCE_BYTES = 32

/**
 * The secret in `global/pg_control` from which a server makes the salts of users that it does not have.
 *
 * @throws as {@link parseControlFile}
 * @see src/backend/libpq/auth-scram.c (`scram_mock_salt`)
 */
export function mockAuthenticationNonce(bytes: Uint8Array, name: string): Buffer {
  parseControlFile(bytes, name)
  const { crc, defaultCharSignedness } = layoutOf(bytes, name)
  // Bytes need no alignment, the CRC does.
  const start = defaultCharSignedness === undefined ? crc - NONCE_BYTES : defaultCharSignedness + 1
  return Buffer.from(bytes.subarray(start, start + NONCE_BYTES))
}

function controlVersionOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(CONTROL_VERSION_OFFSET, true)
}

function readCheckPoint(view: DataView, layout: ControlFileLayout, name: string): CheckPoint {
  const copy = new DataView(view.buffer, view.byteOffset + CHECK_POINT_COPY_OFFSET)
  const walLevel = readOptional(view, layout.checkPointWalLevel, 'int32')
  return {
    ...readStruct(copy, layout.checkPointFields),
    nextMultiOffset: BigInt(readField(view, layout.nextMultiOffset)),
    walLevel: walLevel === undefined ? undefined : namedWalLevel(walLevel, name),
    logicalDecodingEnabled: readOptional(view, layout.checkPointLogicalDecoding, 'bool'),
    dataChecksumVersion: readOptional(view, layout.checkPointDataChecksums, 'uint32'),
  }
}

function readOptional<Kind extends 'bool' | 'int32' | 'uint32'>(
  view: DataView,
  offset: number | undefined,
  kind: Kind,
): ReturnType<typeof readField<Kind>> | undefined {
  return offset === undefined ? undefined : readField(view, [offset, kind])
}

function layoutOf(bytes: Uint8Array, name: string): ControlFileLayout {
  if (bytes.length < SMALLEST_CONTROL_FILE_DATA) {
    throw badFile(name, `could not read file: read ${bytes.length} of ${SMALLEST_CONTROL_FILE_DATA}`)
  }
  const version = controlVersionOf(bytes)
  const layout = controlFileLayouts.get(version)
  if (layout === undefined) throw unknownVersion(version, name)
  if (bytes.length >= layout.size) return layout
  throw badFile(name, `could not read file: read ${bytes.length} of ${layout.size}`)
}

function unknownVersion(version: number, name: string): PbManifestError {
  // A small number in the other byte order has its bits in the upper half only.
  if (version !== 0 && version % 0x1_0000 === 0) return badFile(name, 'possible byte ordering mismatch')
  const known = [...controlFileLayouts.keys()].join(', ')
  return badFile(name, `unexpected control file version ${version}, known are ${known}`)
}

function namedWalLevel(value: number, name: string): WalLevel {
  return meaning(walLevels[value], `unrecognized wal_level ${value}`, name)
}

function checkedWalSegmentSize(bytes: number, name: string): number {
  if (isWalSegmentSize(bytes)) return bytes
  throw badFile(name, `invalid WAL segment size in control file (${bytes} bytes)`)
}

function meaning<Value>(value: Value | undefined, otherwise: string, name: string): Value {
  if (value === undefined) throw badFile(name, otherwise)
  return value
}
