/** Bytes that every layout fills (`sizeof(ControlFileData)`); the file has 8192, the rest of them zero. */
export const CONTROL_FILE_DATA_SIZE = 296

/** Where the control file has `checkPointCopy`, a struct of its own. */
export const CHECK_POINT_COPY_OFFSET = 40

/** Where the layouts differ: offsets in bytes from the beginning of the file. */
interface ControlFileLayout {
  /** The CRC-32C of all bytes before it. */
  readonly crc: number
  readonly checkPointWalLevel?: number
  readonly defaultCharSignedness?: number
}

/** The layouts by pg_control_version: 1300 is of PostgreSQL 13 to 16, 1700 of 17, 1800 of 18. */
export const controlFileLayouts: ReadonlyMap<number, ControlFileLayout> = new Map<number, ControlFileLayout>([
  [1300, { crc: 288 }],
  [1700, { crc: 288, checkPointWalLevel: 60 }],
  [1800, { crc: 292, checkPointWalLevel: 60, defaultCharSignedness: 256 }],
])

/** What all layouts have in the same place. */
export const controlFileFields = {
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

/** The same for `checkPointCopy`, counted from its own beginning. */
export const checkPointFields = {
  redo: [0, 'uint64'],
  timeline: [8, 'uint32'],
  prevTimeline: [12, 'uint32'],
  fullPageWrites: [16, 'bool'],
  nextXid: [24, 'uint64'],
  nextOid: [32, 'uint32'],
  nextMulti: [36, 'uint32'],
  nextMultiOffset: [40, 'uint32'],
  oldestXid: [44, 'uint32'],
  oldestXidDatabase: [48, 'uint32'],
  oldestMulti: [52, 'uint32'],
  oldestMultiDatabase: [56, 'uint32'],
  time: [64, 'time'],
  oldestCommitTimestampXid: [72, 'uint32'],
  newestCommitTimestampXid: [76, 'uint32'],
  oldestActiveXid: [80, 'uint32'],
} as const
