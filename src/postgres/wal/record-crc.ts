import { extendCrc32c } from '../crc32c.js'
import { RECORD_HEADER_SIZE, recordFields } from './record-header.js'

/** Computes the CRCs of records, which cover their bodies first and then their headers, up to the CRC itself. */
export interface RecordCrc {
  /** As {@link extendCrc32c}. */
  readonly extend: typeof extendCrc32c
  /**
   * Goes over records that follow each other as long as their CRCs are right.
   *
   * @param at - where in `view` the first one begins, at a multiple of 8 from where an LSN is one
   * @param end - none may go beyond
   * @returns where the first one begins whose CRC is wrong, that is not there whole, or is none; or where the last one ends
   */
  readonly skipIntact: (view: DataView, at: number, end: number) => number
}

/** By tables, wherever the bytes are. */
export const plainRecordCrc: RecordCrc = { extend: extendCrc32c, skipIntact: skipIntactRecords }

function skipIntactRecords(view: DataView, at: number, end: number): number {
  let record = at
  while (end - record >= RECORD_HEADER_SIZE) {
    const length = view.getUint32(record + recordFields.totalLength, true)
    if (length < RECORD_HEADER_SIZE || length > end - record) break
    const crc = extendCrc32c(-1, view, record + RECORD_HEADER_SIZE, record + length)
    if (!isRecordCrc(crc, view, record)) break
    record += (length + 7) & -8
  }
  return record
}

/** Whether a record holds this CRC, given the CRC of all that follows its header. */
export function isRecordCrc(crcOfBody: number, view: DataView, at: number): boolean {
  const end = at + recordFields.crc
  return ~extendCrc32c(crcOfBody, view, at, end) === view.getInt32(end, true)
}
