import type { WalFormat } from '../versions.js'

/** Bytes of a record's header; a record begins where the LSN is a multiple of 8. */
export const RECORD_HEADER_SIZE = 24

/** Offsets in the header. @see src/include/access/xlogrecord.h (`XLogRecord`) */
export const recordFields = { totalLength: 0, previous: 8, info: 16, resourceManager: 17, crc: 20 } as const

/**
 * No record is longer: servers from 16 on write at most 1020 MiB, and the readers of all versions can take up no 1 GiB.
 *
 * @see src/include/utils/memutils.h (`MaxAllocSize`)
 */
const MAX_RECORD_SIZE = 0x3fff_ffff

const MIN_CUSTOM_RESOURCE_MANAGER = 128

const XLOG_RESOURCE_MANAGER = 0
const DATABASE_RESOURCE_MANAGER = 4
/** @see src/include/commands/dbcommands_xlog.h (`XLOG_DBASE_CREATE`, later `XLOG_DBASE_CREATE_FILE_COPY`) */
const DATABASE_COPY = 0x00
const TABLESPACE_RESOURCE_MANAGER = 5
/** @see src/include/commands/tablespace.h (`XLOG_TBLSPC_CREATE`) */
const TABLESPACE_CREATE = 0x00
/** The bits of xl_info that belong to the resource manager. */
const RESOURCE_MANAGER_INFO = 0xf0
/** @see src/include/catalog/pg_control.h */
const XLOG_SWITCH = 0x40
/** @see src/include/catalog/pg_control.h of betas of 19 (`XLOG2_CHECKSUMS`) */
const CHECKSUM_SWITCH = 0x00
/** @see src/include/catalog/pg_control.h */
const XLOG_BACKUP_END = 0x50
const XLOG_OVERWRITE_CONTRECORD = 0xd0

/** What is wrong with xl_tot_len, in the words of PostgreSQL's reader. */
export function findRecordLengthFault(length: number): string | undefined {
  if (length < RECORD_HEADER_SIZE) {
    return `invalid record length: expected at least ${RECORD_HEADER_SIZE}, got ${length}`
  }
  return length > MAX_RECORD_SIZE
    ? `invalid record length: expected at most ${MAX_RECORD_SIZE}, got ${length}`
    : undefined
}

/** Whether a server of this version has such a resource manager, or may have it by an extension. */
export function isResourceManager(id: number, format: WalFormat): boolean {
  return (
    id <= format.lastResourceManager ||
    (format.hasCustomResourceManagers && id >= MIN_CUSTOM_RESOURCE_MANAGER)
  )
}

/** Whether the rest of the segment behind this record is unused. */
export function isSwitch(view: DataView, at: number): boolean {
  return isXlogRecord(view, at, XLOG_SWITCH)
}

/** Whether this record says that the one before it was given up unfinished. */
export function isOverwriteContrecord(view: DataView, at: number): boolean {
  return isXlogRecord(view, at, XLOG_OVERWRITE_CONTRECORD)
}

/** Whether this record says that a backup, of a primary, has ended. Its data is where that one began. */
export function isBackupEnd(view: DataView, at: number): boolean {
  return isXlogRecord(view, at, XLOG_BACKUP_END)
}

/** Whether this record makes a database by copying the files of another. */
export function isDatabaseCopy(view: DataView, at: number): boolean {
  return (
    view.getUint8(at + recordFields.resourceManager) === DATABASE_RESOURCE_MANAGER &&
    (view.getUint8(at + recordFields.info) & RESOURCE_MANAGER_INFO) === DATABASE_COPY
  )
}

/** Whether this record makes a tablespace, at the place where it was made first. */
export function isTablespaceCreation(view: DataView, at: number): boolean {
  return (
    view.getUint8(at + recordFields.resourceManager) === TABLESPACE_RESOURCE_MANAGER &&
    (view.getUint8(at + recordFields.info) & RESOURCE_MANAGER_INFO) === TABLESPACE_CREATE
  )
}

/** Whether this record switches data checksums off or on, or begins to. */
export function isChecksumSwitch(view: DataView, at: number, format: WalFormat): boolean {
  return (
    view.getUint8(at + recordFields.resourceManager) === format.checksumSwitchResourceManager &&
    (view.getUint8(at + recordFields.info) & RESOURCE_MANAGER_INFO) === CHECKSUM_SWITCH
  )
}

function isXlogRecord(view: DataView, at: number, kind: number): boolean {
  return (
    view.getUint8(at + recordFields.resourceManager) === XLOG_RESOURCE_MANAGER &&
    (view.getUint8(at + recordFields.info) & RESOURCE_MANAGER_INFO) === kind
  )
}
