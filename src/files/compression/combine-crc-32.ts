/** CRC-32's polynomial, bits in reverse. */
const POLYNOMIAL = 0xedb88320

/**
 * The CRC-32 of two stretches of bytes, one after the other, from that of each: the first is moved on over as many zeros as the second
 * has bytes, which is a product of polynomials.
 *
 * @param second - of the second stretch
 * @param bytes - how many that has
 * @see https://github.com/madler/zlib/blob/master/crc32.c (`crc32_combine`)
 */
export function combineCrc32(first: number, second: number, bytes: number): number {
  return (multiply(powerOfX(bytes), first) ^ second) >>> 0
}

/** x to the 8 times this, modulo the polynomial. */
function powerOfX(bytes: number): number {
  let result = 0x80000000
  // x^8, whose exponent doubles.
  let power = 0x00800000
  for (let rest = bytes; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = multiply(power, result)
    power = multiply(power, power)
  }
  return result
}

/** The product of two polynomials, modulo CRC-32's. */
function multiply(left: number, right: number): number {
  let product = 0
  let shifted = right
  for (let bit = 31; bit >= 0; bit--) {
    if ((left >>> bit) & 1) product ^= shifted
    shifted = shifted & 1 ? (shifted >>> 1) ^ POLYNOMIAL : shifted >>> 1
  }
  return product >>> 0
}
