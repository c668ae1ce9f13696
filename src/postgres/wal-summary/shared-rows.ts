/**
 * A table of rows of 32-bit numbers, ordered by its first columns, in memory that all threads share.
 *
 * It is made once, and then only looked into.
 */
export class SharedRows {
  readonly memory: SharedArrayBuffer
  readonly #numbers: Uint32Array
  readonly #width: number

  /** @param width - how many numbers a row has */
  constructor(memory: SharedArrayBuffer, width: number) {
    this.memory = memory
    this.#numbers = new Uint32Array(memory)
    this.#width = width
  }

  /** Puts rows in order, by all their columns. */
  static of(rows: readonly (readonly number[])[], width: number): SharedRows {
    const memory = new SharedArrayBuffer(rows.length * width * Uint32Array.BYTES_PER_ELEMENT)
    const numbers = new Uint32Array(memory)
    for (const [index, row] of rows.toSorted(compareRows).entries()) numbers.set(row, index * width)
    return new SharedRows(memory, width)
  }

  get length(): number {
    return this.#numbers.length / this.#width
  }

  /** A number of a row. */
  at(row: number, column: number): number {
    return this.#numbers[row * this.#width + column] ?? 0
  }

  /** The first row that begins with these numbers; `undefined` when there is none. */
  find(...beginning: readonly number[]): number | undefined {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(middle, beginning) < 0) low = middle + 1
      else high = middle
    }
    return low < this.length && this.#compare(low, beginning) === 0 ? low : undefined
  }

  #compare(row: number, beginning: readonly number[]): number {
    for (const [column, wanted] of beginning.entries()) {
      const difference = this.at(row, column) - wanted
      if (difference !== 0) return difference
    }
    return 0
  }
}

function compareRows(left: readonly number[], right: readonly number[]): number {
  for (const [column, value] of left.entries()) {
    const difference = value - (right[column] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
