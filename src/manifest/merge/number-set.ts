/** What stands in an empty slot; a member of this value stands as the next one. */
const EMPTY = 0

/** Slots for each number, at least. */
const SLOTS = 1.6

/** A set of whole numbers below 2^53 whose bits are well mixed: 13 bytes each, where a `Set` would take 40. */
export class NumberSet {
  #slots: Float64Array
  #size = 0

  /** @param expected - how many there will probably be */
  constructor(expected: number) {
    this.#slots = new Float64Array(Math.ceil(SLOTS * expected) + 16)
  }

  get size(): number {
    return this.#size
  }

  /** @returns false when it is there already */
  add(value: number): boolean {
    if (SLOTS * (this.#size + 1) > this.#slots.length) this.#grow()
    const isNew = insert(this.#slots, value === EMPTY ? EMPTY + 1 : value)
    if (isNew) this.#size++
    return isNew
  }

  #grow(): void {
    const values = this.#slots
    this.#slots = new Float64Array(2 * values.length)
    for (const value of values) if (value !== EMPTY) insert(this.#slots, value)
  }
}

function insert(slots: Float64Array, value: number): boolean {
  for (let slot = (value * (slots.length / 2 ** 53)) >>> 0; ; slot++) {
    // The product may have been rounded up.
    if (slot === slots.length) slot = 0
    const found = slots[slot]
    if (found === value) return false
    if (found === EMPTY) {
      slots[slot] = value
      return true
    }
  }
}
