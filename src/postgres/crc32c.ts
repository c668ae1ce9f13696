/** The Castagnoli polynomial 0x1EDC6F41, bits reversed. */
const reflectedPolynomial = 0x82f6_3b78

/** Eight bytes are taken in one step, by one table each. @see src/port/pg_crc32c_sb8.c */
const SLICES = 8

/** Tables for 16 bytes in one step, for who has use for it. */
const TABLES = 16

/** Entry `256 * k + byte` is what `byte` leaves when `k` more bytes have followed it. */
export const crc32cTables: Int32Array = makeTables()

function makeTables(): Int32Array {
  const made = new Int32Array(TABLES * 256)
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte
    for (let bit = 0; bit < 8; bit++) {
      remainder = remainder & 1 ? (remainder >>> 1) ^ reflectedPolynomial : remainder >>> 1
    }
    made[byte] = remainder
  }
  for (let index = 256; index < made.length; index++) {
    const before = made[index - 256] ?? 0
    made[index] = (before >>> 8) ^ (made[before & 0xff] ?? 0)
  }
  return made
}

/**
 * Computes the CRC-32C (Castagnoli) of bytes `start` to `end`, as PostgreSQL puts it into pg_control and WAL records.
 *
 * Meant for short structures. Whole files are hashed by native engines elsewhere.
 *
 * @param end - exclusive; the end of `bytes` when left out.
 * @param seed - the CRC of bytes that precede these, to go on from there; 0 when left out.
 * @returns 0 to 2^32-1. A manifest shows it as the hexadecimal of its little-endian bytes.
 * @see src/port/pg_crc32c_sb8.c
 * @example
 * ```ts
 * crc32c(new TextEncoder().encode('123456789')) // 0xe3069283
 * ```
 */
export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length, seed = 0): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return ~extendCrc32c(~seed, view, start, end) >>> 0
}

/**
 * {@link crc32c} for loops over millions of short records: nothing is made, and the CRC stays as it is inside, all bits
 * turned. It begins as -1.
 *
 * Measured: 1.3 to 2 GB/s for 40 bytes and more. A native engine is faster from about 500 bytes on, and many times slower
 * below, because of its call.
 */
export function extendCrc32c(crc: number, view: DataView, start: number, end: number): number {
  let at = start
  for (const last = end - SLICES; at <= last; at += SLICES) {
    const low = crc ^ view.getInt32(at, true)
    const high = view.getInt32(at + 4, true)
    crc =
      (crc32cTables[0x700 + (low & 0xff)] ?? 0) ^
      (crc32cTables[0x600 + ((low >>> 8) & 0xff)] ?? 0) ^
      (crc32cTables[0x500 + ((low >>> 16) & 0xff)] ?? 0) ^
      (crc32cTables[0x400 + (low >>> 24)] ?? 0) ^
      (crc32cTables[0x300 + (high & 0xff)] ?? 0) ^
      (crc32cTables[0x200 + ((high >>> 8) & 0xff)] ?? 0) ^
      (crc32cTables[0x100 + ((high >>> 16) & 0xff)] ?? 0) ^
      (crc32cTables[high >>> 24] ?? 0)
  }
  if (at <= end - 4) {
    const word = crc ^ view.getInt32(at, true)
    crc =
      (crc32cTables[0x300 + (word & 0xff)] ?? 0) ^
      (crc32cTables[0x200 + ((word >>> 8) & 0xff)] ?? 0) ^
      (crc32cTables[0x100 + ((word >>> 16) & 0xff)] ?? 0) ^
      (crc32cTables[word >>> 24] ?? 0)
    at += 4
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ (crc32cTables[(crc ^ view.getUint8(at)) & 0xff] ?? 0)
  return crc
}
