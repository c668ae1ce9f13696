import type { LsnDigits } from './lsn.js'

/**
 * What differs between the major versions of PostgreSQL, by name: what a server of that version does, and what its files
 * look like. Code asks for the capability, never for a number.
 *
 * A new major version is a row here, and its layout in `control-file-layout.ts`; docs/architecture.md says how.
 */
export interface PostgresVersion {
  readonly major: number
  /** We know only builds from before its release, so that the formats of others may differ. */
  readonly isPrerelease: boolean
  /** What its pg_control may say of its own layout. */
  readonly controlVersions: readonly number[]
  /** What its WAL may be like; the first is what released servers write. */
  readonly walFormats: readonly [WalFormat, ...WalFormat[]]
  /** Manifests are of version 2. @see src/backend/backup/backup_manifest.c, InitializeBackupManifest */
  readonly hasSystemIdentifierInManifest: boolean
  /** How it prints LSNs, in manifests too. @see src/include/access/xlogdefs.h (`LSN_FORMAT_ARGS`) */
  readonly lsnDigits: LsnDigits
  /** How backup mode is begun and ended in SQL. */
  readonly backupFunctions: BackupFunctions
  /** A BASE_BACKUP that estimates its size, and then sends as little as can be. @see https://www.postgresql.org/docs/current/protocol-replication.html */
  readonly baseBackupForEstimate: string
  /** `pg_wal` has the directory `summaries`. */
  readonly hasWalSummaries: boolean
  /** A base backup looks for unlogged relations in `global` too. @see src/backend/backup/basebackup.c, sendDir */
  readonly leavesOutUnloggedInGlobal: boolean
  /**
   * A base backup takes only files that are named as relations' files are for files of pages; before, all files did that
   * are where relations are kept, but for a few. @see src/backend/backup/basebackup.c
   */
  readonly knowsPagesByRelationName: boolean
  /** Statistics are kept by a process, in files of `pg_stat_tmp`; later, in shared memory. */
  readonly hasStatisticsCollector: boolean
  /** A standby of it synchronizes logical slots, for which primary_conninfo has to name a database. */
  readonly hasSlotSynchronization: boolean
  /** The replication command READ_REPLICATION_SLOT tells whether there is a slot. */
  readonly canReadReplicationSlot: boolean
  /** `amcheck` checks tables, too, and not only their indexes. */
  readonly canCheckTables: boolean
  /** The setting `allow_in_place_tablespaces`. */
  readonly hasInPlaceTablespaces: boolean
  /** The setting `event_triggers`. */
  readonly hasEventTriggersSetting: boolean
  /** The setting `max_active_replication_origins`; before, `max_replication_slots` was it. */
  readonly hasActiveReplicationOrigins: boolean
}

/** The names of backup mode's functions. `$1`, `$2` are what our queries give them. */
interface BackupFunctions {
  /** Parameters: label, fast. */
  readonly start: string
  /** Parameter: whether to wait for the archive. */
  readonly stop: string
}

/** What differs between the formats of WAL. */
export interface WalFormat {
  /** Stands at the beginning of every page. @see src/include/access/xlog_internal.h (`XLOG_PAGE_MAGIC`) */
  readonly pageMagic: number
  /** The bits of a page's xlp_info that have a meaning. @see src/include/access/xlog_internal.h (`XLP_ALL_FLAGS`) */
  readonly pageInfoBits: number
  /** The one that says that the page begins with a record in place of one that was given up unfinished. */
  readonly overwriteContrecordBit: number
  /** Built-in resource managers have numbers from 0 to this. @see src/include/access/rmgrlist.h */
  readonly lastResourceManager: number
  /** The resource manager of records that switch data checksums. @see src/include/catalog/pg_control.h (`XLOG2_CHECKSUMS`) */
  readonly checksumSwitchResourceManager: number | undefined
  /** Extensions may have resource managers of their own, with numbers from 128. @see src/include/access/rmgr.h */
  readonly hasCustomResourceManagers: boolean
  /** A record may name its top-level transaction. @see src/include/access/xlogrecord.h */
  readonly hasToplevelXid: boolean
  /** The bits of bimg_info that say that a page's image is compressed. @see src/include/access/xlogrecord.h */
  readonly compressedImageBits: number
  /** The bit of bimg_info that says that replay puts the image in the page's place. */
  readonly appliedImageBit: number
}

const wal13: WalFormat = {
  pageMagic: 0xd106,
  pageInfoBits: 0x000f,
  overwriteContrecordBit: 0x0008,
  lastResourceManager: 21,
  checksumSwitchResourceManager: undefined,
  hasCustomResourceManagers: false,
  hasToplevelXid: false,
  compressedImageBits: 0x02,
  appliedImageBit: 0x04,
}
const wal14: WalFormat = { ...wal13, pageMagic: 0xd10d, hasToplevelXid: true }
const wal15: WalFormat = {
  ...wal14,
  pageMagic: 0xd110,
  hasCustomResourceManagers: true,
  // One for each of pglz, lz4 and zstd; "apply" has taken the place of the old one.
  compressedImageBits: 0x1c,
  appliedImageBit: 0x02,
}

/** That backup blocks are removable is told no more, and its bit has got another meaning. */
const wal19: WalFormat = {
  ...wal15,
  pageMagic: 0xd122,
  pageInfoBits: 0x0007,
  overwriteContrecordBit: 0x0004,
}
const wal19OfBetas: WalFormat = { ...wal19, lastResourceManager: 22, checksumSwitchResourceManager: 22 }

/** Each row says what its version has changed. */
const version13: PostgresVersion = {
  major: 13,
  isPrerelease: false,
  controlVersions: [1300],
  walFormats: [wal13],
  hasSystemIdentifierInManifest: false,
  lsnDigits: 1,
  // Exclusive mode, the default of old, would write backup_label into the live data directory.
  backupFunctions: {
    start: 'pg_catalog.pg_start_backup($1, $2, false)',
    stop: 'pg_catalog.pg_stop_backup(false, $1)',
  },
  baseBackupForEstimate:
    "BASE_BACKUP LABEL 'pbmanifest: links and special files' PROGRESS FAST NOWAIT MAX_RATE 32",
  hasWalSummaries: false,
  leavesOutUnloggedInGlobal: false,
  knowsPagesByRelationName: false,
  hasStatisticsCollector: true,
  hasSlotSynchronization: false,
  canReadReplicationSlot: false,
  canCheckTables: false,
  hasInPlaceTablespaces: false,
  hasEventTriggersSetting: false,
  hasActiveReplicationOrigins: false,
}
const version14: PostgresVersion = { ...version13, major: 14, walFormats: [wal14], canCheckTables: true }
const version15: PostgresVersion = {
  ...version14,
  major: 15,
  walFormats: [wal15],
  // @see https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
  backupFunctions: { start: 'pg_catalog.pg_backup_start($1, $2)', stop: 'pg_catalog.pg_backup_stop($1)' },
  baseBackupForEstimate:
    "BASE_BACKUP (LABEL 'pbmanifest: links and special files', PROGRESS, CHECKPOINT 'fast', WAIT false, MAX_RATE 32)",
  hasStatisticsCollector: false,
  canReadReplicationSlot: true,
  hasInPlaceTablespaces: true,
}
const version16: PostgresVersion = {
  ...version15,
  major: 16,
  walFormats: [{ ...wal15, pageMagic: 0xd113 }],
}
const version17: PostgresVersion = {
  ...version16,
  major: 17,
  controlVersions: [1700],
  walFormats: [{ ...wal15, pageMagic: 0xd116 }],
  hasSystemIdentifierInManifest: true,
  hasWalSummaries: true,
  hasSlotSynchronization: true,
  leavesOutUnloggedInGlobal: true,
  knowsPagesByRelationName: true,
  hasEventTriggersSetting: true,
}
const version18: PostgresVersion = {
  ...version17,
  major: 18,
  controlVersions: [1800],
  walFormats: [{ ...wal15, pageMagic: 0xd118 }],
  hasActiveReplicationOrigins: true,
}
const version19: PostgresVersion = {
  ...version18,
  major: 19,
  isPrerelease: true,
  controlVersions: [1905, 1903, 1902],
  walFormats: [wal19, { ...wal19OfBetas, pageMagic: 0xd121 }, { ...wal19OfBetas, pageMagic: 0xd120 }],
  lsnDigits: 8,
}

/** All that we know, oldest first. */
export const postgresVersions: readonly PostgresVersion[] = [
  version13,
  version14,
  version15,
  version16,
  version17,
  version18,
  version19,
]

export const oldestVersion: PostgresVersion = version13
export const newestVersion: PostgresVersion = version19

/** The row of a major version; `undefined` for one that we do not know. */
export function findVersion(major: number): PostgresVersion | undefined {
  return postgresVersions.find((version) => version.major === major)
}

/** The row to go by where any answer is better than none: of a major version that we do not know, the nearest. */
export function nearestVersion(major: number): PostgresVersion {
  const clamped = Math.min(Math.max(major, oldestVersion.major), newestVersion.major)
  return findVersion(clamped) ?? newestVersion
}

/** A version whose pg_control says this of its layout. Several may; what they write into manifests is then the same. */
export function findVersionOfControlFile(controlVersion: number): PostgresVersion | undefined {
  return postgresVersions.find((version) => version.controlVersions.includes(controlVersion))
}

/**
 * Whether this may be the version of a control file that came after this program: those of a major version begin with its
 * number. Of released versions they do not change.
 */
export function mayBeControlVersion(controlVersion: number): boolean {
  const major = Math.floor(controlVersion / 100)
  return (major > newestVersion.major && major < 100) || findVersion(major)?.isPrerelease === true
}

/** Whether this may be the magic number of WAL that came after this program: they grow. */
export function mayBePageMagic(pageMagic: number): boolean {
  const known = postgresVersions.flatMap(({ walFormats }) => walFormats.map((format) => format.pageMagic))
  return pageMagic > Math.max(...known) && pageMagic <= 0xd1ff
}

/** The format of the WAL whose pages begin with this magic number; `undefined` when we know none. */
export function findWalFormat(pageMagic: number): WalFormat | undefined {
  return postgresVersions
    .flatMap((version) => version.walFormats)
    .find((format) => format.pageMagic === pageMagic)
}
