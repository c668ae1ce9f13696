/** The number that this text spells in plain decimal digits; `undefined` for anything else, also for `03` and `+3`. */
export function parseWholeNumber(text: string): bigint | undefined {
  return /^(?:0|[1-9][0-9]*)$/.test(text) ? BigInt(text) : undefined
}
