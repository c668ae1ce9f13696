import { badFile } from './bad-file.js'
import type { CheckPoint } from './check-point.js'
import { clusterStateOfNumber, type ClusterState } from './cluster-state.js'
import {
  CHECK_POINT_COPY_OFFSET,
  checkPointFields,
  CONTROL_FILE_DATA_SIZE,
  controlFileFields,
  controlFileLayouts,
} from './control-file-layout.js'
import { crc32c } from './crc32c.js'
import { readStruct, type StructValues } from './struct-fields.js'
import { walLevelOfNumber, type WalLevel } from './wal-level.js'
import { isWalSegmentSize } from './wal-segment.js'

/** What `global/pg_control` says about a database cluster; the same things as pg_controldata prints, without the nonce. */
export interface ControlFile extends Omit<StructValues<typeof controlFileFields>, 'state' | 'walLevel'> {
  readonly systemIdentifier: bigint
  /** The layout of the file: 1300, 1700 or 1800. */
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
  /** 0 when data pages have no checksums. */
  readonly dataChecksumVersion: number
  /** Whether C's `char` has a sign; `undefined` before PostgreSQL 18. */
  readonly defaultCharSignedness: boolean | undefined
  /** The file's own CRC-32C, found to be right. */
  readonly crc: number
}

/**
 * Reads `global/pg_control` of PostgreSQL 13 to 18, written on a little-endian machine.
 *
 * A server writes the file in place: a copy of it may be torn, and a wrong CRC is reason to read it again.
 *
 * @param bytes - the file; its first 296 bytes suffice.
 * @param name - the file's name, for messages.
 * @throws PbManifestError `BAD_FILE` when the file is too short, of the other byte order or of an unknown version, when
 * its CRC is wrong, or when a value in it has no meaning.
 * @see src/include/catalog/pg_control.h (`ControlFileData`), src/common/controldata_utils.c (`get_controlfile`)
 */
export function parseControlFile(bytes: Uint8Array, name: string): ControlFile {
  if (bytes.length < CONTROL_FILE_DATA_SIZE) {
    throw badFile(name, `could not read file: read ${bytes.length} of ${CONTROL_FILE_DATA_SIZE}`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const fields = readStruct(view, controlFileFields)
  const layout = layoutOfVersion(fields.controlVersion, name)
  const crc = view.getUint32(layout.crc, true)
  // After the version, not before as PostgreSQL's tools do it: the version says where the CRC is.
  if (crc32c(bytes, 0, layout.crc) !== crc) throw badFile(name, 'CRC is incorrect')

  const { checkPointWalLevel, defaultCharSignedness } = layout
  return {
    ...fields,
    state: meaning(clusterStateOfNumber(fields.state), `unrecognized status code ${fields.state}`, name),
    walLevel: namedWalLevel(fields.walLevel, name),
    walSegmentSize: checkedWalSegmentSize(fields.walSegmentSize, name),
    checkPointCopy: {
      ...readStruct(new DataView(bytes.buffer, bytes.byteOffset + CHECK_POINT_COPY_OFFSET), checkPointFields),
      walLevel:
        checkPointWalLevel === undefined
          ? undefined
          : namedWalLevel(view.getInt32(checkPointWalLevel, true), name),
    },
    defaultCharSignedness:
      defaultCharSignedness === undefined ? undefined : view.getUint8(defaultCharSignedness) !== 0,
    crc,
  }
}

function layoutOfVersion(
  version: number,
  name: string,
): NonNullable<ReturnType<typeof controlFileLayouts.get>> {
  const layout = controlFileLayouts.get(version)
  if (layout !== undefined) return layout
  // A small number in the other byte order has its bits in the upper half only.
  if (version !== 0 && version % 0x1_0000 === 0) throw badFile(name, 'possible byte ordering mismatch')
  const known = [...controlFileLayouts.keys()].join(', ')
  throw badFile(name, `unexpected control file version ${version}, known are ${known}`)
}

function namedWalLevel(value: number, name: string): WalLevel {
  return meaning(walLevelOfNumber(value), `unrecognized wal_level ${value}`, name)
}

function checkedWalSegmentSize(bytes: number, name: string): number {
  if (isWalSegmentSize(bytes)) return bytes
  throw badFile(name, `invalid WAL segment size in control file (${bytes} bytes)`)
}

function meaning<Value>(value: Value | undefined, otherwise: string, name: string): Value {
  if (value === undefined) throw badFile(name, otherwise)
  return value
}
