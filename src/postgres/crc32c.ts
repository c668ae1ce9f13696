/** The Castagnoli polynomial 0x1EDC6F41, bits reversed. */
const reflectedPolynomial = 0x82f6_3b78

const table: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++) {
    remainder = remainder & 1 ? (remainder >>> 1) ^ reflectedPolynomial : remainder >>> 1
  }
  return remainder
})

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
  let crc = ~seed
  for (let index = start; index < end; index++) {
    crc = (crc >>> 8) ^ (table[(crc ^ (bytes[index] ?? 0)) & 0xff] ?? 0)
  }
  return ~crc >>> 0
}
