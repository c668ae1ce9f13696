/** Where the control file has `checkPointCopy`, a struct of its own. */
export const CHECK_POINT_COPY_OFFSET = 40

/** Fewer bytes than this have no layout that we know (`sizeof(ControlFileData)`); the file has 8192, the rest of them zero. */
export const SMALLEST_CONTROL_FILE_DATA = 296

/** A layout of the control file: offsets in bytes from its beginning. */
export interface ControlFileLayout {
  /** Bytes that it fills. */
  readonly size: number
  /** The CRC-32C of all bytes before it. */
  readonly crc: number
  readonly fields: SameFields<typeof fields13>
  /** Counted from the beginning of `checkPointCopy`. */
  readonly checkPointFields: SameFields<typeof checkPointFields13>
  readonly nextMultiOffset: readonly [offset: number, kind: 'uint32' | 'uint64']
  readonly checkPointWalLevel?: number
  readonly checkPointLogicalDecoding?: number
  readonly checkPointDataChecksums?: number
  readonly slruPagesPerSegment?: number
  readonly defaultCharSignedness?: number
}

/** The same fields, of the same kinds, elsewhere. */
type SameFields<Fields extends Readonly<Record<string, readonly [number, string]>>> = {
  readonly [Name in keyof Fields]: readonly [offset: number, kind: Fields[Name][1]]
}

const fields13 = {
  systemIdentifier: [0, 'uint64'],
  controlVersion: [8, 'uint32'],
  catalogVersion: [12, 'uint32'],
  state: [16, 'uint32'],
  time: [24, 'time'],
  checkPoint: [32, 'uint64'],
  unloggedLsn: [128, 'uint64'],
  minRecoveryPoint: [136, 'uint64'],
  minRecoveryPointTimeline: [144, 'uint32'],
  backupStartPoint: [152, 'uint64'],
  backupEndPoint: [160, 'uint64'],
  backupEndRequired: [168, 'bool'],
  walLevel: [172, 'int32'],
  walLogHints: [176, 'bool'],
  maxConnections: [180, 'int32'],
  maxWorkerProcesses: [184, 'int32'],
  maxWalSenders: [188, 'int32'],
  maxPreparedTransactions: [192, 'int32'],
  maxLocksPerTransaction: [196, 'int32'],
  trackCommitTimestamp: [200, 'bool'],
  maxDataAlignment: [204, 'uint32'],
  floatFormat: [208, 'double'],
  blockSize: [216, 'uint32'],
  relationSegmentSize: [220, 'uint32'],
  walBlockSize: [224, 'uint32'],
  walSegmentSize: [228, 'uint32'],
  nameDataLength: [232, 'uint32'],
  indexMaxKeys: [236, 'uint32'],
  toastMaxChunkSize: [240, 'uint32'],
  largeObjectBlockSize: [244, 'uint32'],
  float8ByValue: [248, 'bool'],
  dataChecksumVersion: [252, 'uint32'],
} as const

const checkPointFields13 = {
  redo: [0, 'uint64'],
  timeline: [8, 'uint32'],
  prevTimeline: [12, 'uint32'],
  fullPageWrites: [16, 'bool'],
  nextXid: [24, 'uint64'],
  nextOid: [32, 'uint32'],
  nextMulti: [36, 'uint32'],
  oldestXid: [44, 'uint32'],
  oldestXidDatabase: [48, 'uint32'],
  oldestMulti: [52, 'uint32'],
  oldestMultiDatabase: [56, 'uint32'],
  time: [64, 'time'],
  oldestCommitTimestampXid: [72, 'uint32'],
  newestCommitTimestampXid: [76, 'uint32'],
  oldestActiveXid: [80, 'uint32'],
} as const

/** The checkpoint has grown by 8 bytes, and what follows it has moved; before the WAL's sizes there is one field more. */
const fields19: ControlFileLayout['fields'] = {
  ...fields13,
  unloggedLsn: [136, 'uint64'],
  minRecoveryPoint: [144, 'uint64'],
  minRecoveryPointTimeline: [152, 'uint32'],
  backupStartPoint: [160, 'uint64'],
  backupEndPoint: [168, 'uint64'],
  backupEndRequired: [176, 'bool'],
  walLevel: [180, 'int32'],
  walLogHints: [184, 'bool'],
  maxConnections: [188, 'int32'],
  maxWorkerProcesses: [192, 'int32'],
  maxWalSenders: [196, 'int32'],
  maxPreparedTransactions: [200, 'int32'],
  maxLocksPerTransaction: [204, 'int32'],
  trackCommitTimestamp: [208, 'bool'],
  maxDataAlignment: [212, 'uint32'],
  floatFormat: [216, 'double'],
  blockSize: [224, 'uint32'],
  relationSegmentSize: [228, 'uint32'],
  walBlockSize: [236, 'uint32'],
  walSegmentSize: [240, 'uint32'],
  nameDataLength: [244, 'uint32'],
  indexMaxKeys: [248, 'uint32'],
  toastMaxChunkSize: [252, 'uint32'],
  largeObjectBlockSize: [256, 'uint32'],
  float8ByValue: [260, 'bool'],
  dataChecksumVersion: [268, 'uint32'],
}

/** Whether logical decoding is on stands before nextXid; nextMultiOffset has 64 bits. */
const checkPointFields19: ControlFileLayout['checkPointFields'] = {
  ...checkPointFields13,
  nextXid: [32, 'uint64'],
  nextOid: [40, 'uint32'],
  nextMulti: [44, 'uint32'],
  oldestXid: [56, 'uint32'],
  oldestXidDatabase: [60, 'uint32'],
  oldestMulti: [64, 'uint32'],
  oldestMultiDatabase: [68, 'uint32'],
  time: [72, 'time'],
  oldestCommitTimestampXid: [80, 'uint32'],
  newestCommitTimestampXid: [84, 'uint32'],
  oldestActiveXid: [88, 'uint32'],
}

const layout13: ControlFileLayout = {
  size: SMALLEST_CONTROL_FILE_DATA,
  crc: 288,
  fields: fields13,
  checkPointFields: checkPointFields13,
  nextMultiOffset: [80, 'uint32'],
}
const layout17: ControlFileLayout = { ...layout13, checkPointWalLevel: 60 }
const layout18: ControlFileLayout = { ...layout17, crc: 292, defaultCharSignedness: 256 }
const layout19: ControlFileLayout = {
  size: 312,
  crc: 308,
  fields: fields19,
  checkPointFields: checkPointFields19,
  nextMultiOffset: [88, 'uint64'],
  checkPointWalLevel: 60,
  checkPointLogicalDecoding: 64,
  slruPagesPerSegment: 232,
  defaultCharSignedness: 272,
}

/**
 * The layouts by pg_control_version. 1300 is of PostgreSQL 13 to 16, 1905 of 19 from its release candidate on; 1902 and
 * 1903 are of its betas, whose servers could switch data checksums while they ran, and kept their state.
 *
 * @see src/include/catalog/pg_control.h (`ControlFileData`, `CheckPoint`)
 */
export const controlFileLayouts: ReadonlyMap<number, ControlFileLayout> = new Map<number, ControlFileLayout>([
  [1300, layout13],
  [1700, layout17],
  [1800, layout18],
  [
    1902,
    {
      ...layout19,
      crc: 304,
      fields: { ...fields19, dataChecksumVersion: [264, 'uint32'] },
      checkPointDataChecksums: 132,
      defaultCharSignedness: 268,
    },
  ],
  [1903, { ...layout19, checkPointDataChecksums: 132 }],
  [1905, layout19],
])

/** How a field of a C struct on a little-endian 64-bit machine is read. */
const readers = {
  bool: (view: DataView, offset: number): boolean => view.getUint8(offset) !== 0,
  int32: (view: DataView, offset: number): number => view.getInt32(offset, true),
  uint32: (view: DataView, offset: number): number => view.getUint32(offset, true),
  uint64: (view: DataView, offset: number): bigint => view.getBigUint64(offset, true),
  double: (view: DataView, offset: number): number => view.getFloat64(offset, true),
  /** pg_time_t, seconds since 1970-01-01 00:00:00 UTC. */
  time: (view: DataView, offset: number): number => Number(view.getBigInt64(offset, true)),
} as const

type FieldKind = keyof typeof readers

/** The fields of a struct by name: offset in bytes, kind. */
type StructFields = Readonly<Record<string, readonly [offset: number, kind: FieldKind]>>

/** The values of the fields of a struct. */
export type StructValues<Fields extends StructFields> = {
  readonly [Name in keyof Fields]: ReturnType<(typeof readers)[Fields[Name][1]]>
}

/** Reads one field. */
export function readField<Kind extends FieldKind>(
  view: DataView,
  [offset, kind]: readonly [offset: number, kind: Kind],
): ReturnType<(typeof readers)[Kind]> {
  return readers[kind](view, offset) as ReturnType<(typeof readers)[Kind]>
}

/**
 * Reads a C struct by a table of its fields.
 *
 * @param view - begins where the struct begins, and is long enough for every field.
 */
export function readStruct<Fields extends StructFields>(
  view: DataView,
  fields: Fields,
): StructValues<Fields> {
  const values = Object.entries(fields).map(([name, field]) => [name, readField(view, field)])
  return Object.fromEntries(values) as StructValues<Fields>
}
