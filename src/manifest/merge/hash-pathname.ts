/**
 * A hash of 53 bits, which a number holds: two ways of mixing, of 32 and 21 bits. Among a million pathnames, two have the
 * same hash once in twenty thousand times.
 */
export function hashPathname53(bytes: Uint8Array, start: number, end: number): number {
  let high = 0x811c9dc5
  let low = 0x9747b28c
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    high = Math.imul(high ^ byte, 0x01000193)
    low = Math.imul(low ^ byte, 0x5bd1e995) ^ (low >>> 15)
  }
  high ^= high >>> 15
  return (Math.imul(high, 0x2c1b3c6d) >>> 0) * 2 ** 21 + (low >>> 11)
}
