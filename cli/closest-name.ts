/**
 * The candidate that was probably meant: the one with the fewest letters added, left out, exchanged or swapped, if these
 * are about a third of what was typed, and no more than three; else one that what was typed has in it, as `basebackup` has
 * `backup`.
 */
export function closestName(typed: string, candidates: readonly string[]): string | undefined {
  if (typed.length > MAX_LENGTH) return undefined
  let closest: string | undefined
  let least = Math.min(3, Math.floor((typed.length + 1) / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(typed, candidate)
    if (distance < least) {
      closest = candidate
      least = distance
    }
  }
  return closest ?? candidates.find((name) => name.length >= MIN_LENGTH && typed.includes(name))
}

/** Shorter names are in too many words. */
const MIN_LENGTH = 4

/** Longer than any name of ours. */
const MAX_LENGTH = 40

/** Of two neighbours that were swapped as of one change (optimal string alignment). */
function editDistance(left: string, right: string): number {
  const rows = [Array.from({ length: right.length + 1 }, (_, column) => column)]
  for (let row = 1; row <= left.length; row++) {
    const current = [row]
    for (let column = 1; column <= right.length; column++) {
      const at = (up: number, back: number): number =>
        (rows[row - up] ?? current)[column - back] ?? MAX_LENGTH
      const isSame = left[row - 1] === right[column - 1]
      const isSwapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1]
      const swapped = row > 1 && column > 1 && isSwapped ? at(2, 2) + 1 : MAX_LENGTH
      const changed = at(1, 1) + (isSame ? 0 : 1)
      current.push(Math.min(at(1, 0) + 1, (current[column - 1] ?? 0) + 1, changed, swapped))
    }
    rows.push(current)
  }
  return rows.at(-1)?.at(-1) ?? MAX_LENGTH
}
