/** What stands in an empty slot. */
const EMPTY = -1
/** All numbers are below. */
const LIMIT = 2 ** 53

/** A part has about so many numbers, of which the processor's cache holds twice as many. */
const PART_NUMBERS = 4096
const MAX_PARTS = 1024
/** So many standard deviations a part may have more than is expected. */
const DEVIATIONS = 6

/**
 * Finds the numbers that come more than once, of whole numbers below 2^53 whose bits are well mixed: 9 bytes each.
 *
 * To look for each one in a table of a million costs more than all else that is done with it, for no cache holds that table. So
 * they are only parted by their upper bits when they come, and each part is looked through at the end.
 */
export class RepeatedNumbers {
  readonly #parts: number
  /** Of numbers, for each part. */
  #room: number
  /** The numbers of one part after those of another. */
  #numbers: Float64Array
  readonly #counts: Uint32Array
  readonly #repeated = new Set<number>()
  #table = new Float64Array(0)

  /** @param expected - how many there will probably be */
  constructor(expected: number) {
    const exponent = Math.round(Math.log2(Math.max(1, expected / PART_NUMBERS)))
    this.#parts = Math.min(MAX_PARTS, 2 ** exponent)
    const mean = expected / this.#parts
    this.#room = Math.ceil(mean + DEVIATIONS * Math.sqrt(mean)) + 16
    this.#numbers = new Float64Array(this.#parts * this.#room)
    this.#counts = new Uint32Array(this.#parts)
  }

  add(number: number): void {
    const part = Math.floor(number * (this.#parts / LIMIT))
    let count = this.#counts[part] as number
    if (count === this.#room) count = this.#makeRoom(part)
    this.#numbers[part * this.#room + count] = number
    this.#counts[part] = count + 1
  }

  /** Those of which there were two or more so far. */
  find(): ReadonlySet<number> {
    for (let part = 0; part < this.#parts; part++) this.#lookThrough(part)
    return this.#repeated
  }

  /** @returns how many numbers the part has now */
  #makeRoom(part: number): number {
    // They may be the same few, again and again.
    this.#lookThrough(part)
    const count = this.#counts[part] as number
    if (2 * count > this.#room) this.#grow()
    return count
  }

  /** Notes those that are there twice, and leaves each once. */
  #lookThrough(part: number): void {
    const first = part * this.#room
    const count = this.#counts[part] as number
    const slots = 2 ** Math.ceil(Math.log2(2 * count + 1))
    if (this.#table.length < slots) this.#table = new Float64Array(slots)
    const table = this.#table.fill(EMPTY, 0, slots)
    let kept = 0
    for (let at = first; at < first + count; at++) {
      const number = this.#numbers[at] as number
      const place = (number * (this.#parts / LIMIT) - part) * slots
      if (insert(table, slots, Math.floor(place), number)) this.#numbers[first + kept++] = number
      else this.#repeated.add(number)
    }
    this.#counts[part] = kept
  }

  #grow(): void {
    const numbers = new Float64Array(2 * this.#numbers.length)
    for (let part = 0; part < this.#parts; part++) {
      const first = part * this.#room
      numbers.set(this.#numbers.subarray(first, first + (this.#counts[part] as number)), 2 * first)
    }
    this.#numbers = numbers
    this.#room *= 2
  }
}

/** @returns false when it is there already */
function insert(table: Float64Array, slots: number, place: number, number: number): boolean {
  for (let slot = place; ; slot++) {
    if (slot === slots) slot = 0
    const found = table[slot]
    if (found === number) return false
    if (found === EMPTY) {
      table[slot] = number
      return true
    }
  }
}
