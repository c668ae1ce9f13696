/**
 * Writes text as UTF-8. For short ASCII, which nearly all names are, a loop is quicker than a call into native code.
 *
 * @param text - well-formed
 * @returns how many bytes were written
 */
export function writeText(target: Buffer, at: number, text: string): number {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code >= 0x80) return target.write(text, at)
    target[at + index] = code
  }
  return text.length
}

/**
 * Writes the bytes that lower-case hexadecimal text spells.
 *
 * @returns how many bytes were written
 */
export function writeHex(target: Buffer, at: number, hex: string): number {
  for (let index = 0; index < hex.length; index += 2) {
    target[at + (index >> 1)] = (digit(hex.charCodeAt(index)) << 4) | digit(hex.charCodeAt(index + 1))
  }
  return hex.length >> 1
}

/**
 * Writes the bytes that a piece of lower-case hexadecimal text spells.
 *
 * @returns the position behind what was written
 */
export function copyHex(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  let to = at
  for (let from = start; from < end; from += 2) {
    target[to++] = (digit(source[from] as number) << 4) | digit(source[from + 1] as number)
  }
  return to
}

function digit(code: number): number {
  return code < 0x3a ? code - 0x30 : code - 0x57
}
