import { PbManifestError } from '../../errors.js'
import type { Yielder } from '../../files/yielder.js'

/** Of the memory that the keys' bytes are in; a key is in one piece. */
const PIECE_BITS = 20
const PIECE_BYTES = 2 ** PIECE_BITS
const MAX_BYTES = 2 ** 32

/** Follows each key. */
const END = 0

/** So few are sorted by insertion. */
const FEW = 8

const WORD_BYTES = 4

/**
 * Many keys of bytes without a zero, and their order. A key is known by its number, from 0.
 *
 * Needs 12 bytes for a key, and one more than it has: no object for any of them.
 */
export class SortedKeys {
  readonly #pieces: Buffer[] = []
  #starts: Uint32Array
  #count = 0
  #used = 0
  #bytes = 0

  /** @param expected - how many there will probably be */
  constructor(expected: number) {
    this.#starts = new Uint32Array(expected)
  }

  get count(): number {
    return this.#count
  }

  /**
   * Adds the key that a byte and the bytes from `start` to before `end` make.
   *
   * @throws {@link PbManifestError} `CANNOT_MERGE` when all have more than 4 GB
   */
  add(first: number, bytes: Buffer, start: number, end: number): void {
    const length = end - start + 2
    const room = PIECE_BYTES - (this.#used % PIECE_BYTES)
    if (length > room) this.#used += room
    if (this.#used + PIECE_BYTES > MAX_BYTES || length > PIECE_BYTES) throw tooLong()
    const at = this.#used % PIECE_BYTES
    if (at === 0) this.#pieces.push(Buffer.allocUnsafeSlow(PIECE_BYTES))
    const piece = this.#pieces.at(-1) as Buffer
    piece[at] = first
    bytes.copy(piece, at + 1, start, end)
    piece[at + length - 1] = END
    if (this.#count === this.#starts.length) this.#grow()
    this.#starts[this.#count++] = this.#used
    this.#used += length
    this.#bytes += length - 1
  }

  /** How many bytes all keys have. */
  get bytes(): number {
    return this.#bytes
  }

  /** Copies a key. @returns how many bytes it has */
  copy(key: number, target: Buffer, at: number): number {
    const start = this.#starts[key] as number
    const piece = this.#pieces[start >>> PIECE_BITS] as Buffer
    const from = start % PIECE_BYTES
    return piece.copy(target, at, from, piece.indexOf(END, from))
  }

  /** The numbers of all keys, which differ, in the order of their bytes. */
  async inOrder(yielder: Yielder): Promise<Uint32Array> {
    const order = new Uint32Array(this.#count)
    for (let index = 0; index < order.length; index++) order[index] = index
    await sortKeys({ order, words: new Int32Array(order.length), keys: this }, yielder)
    return order
  }

  /** Four bytes of a key, as a number that orders as they do; the last is {@link END} when the key ends in them. */
  wordAt(key: number, depth: number): number {
    const start = (this.#starts[key] as number) + depth
    const piece = this.#pieces[start >>> PIECE_BITS] as Buffer
    const at = start % PIECE_BYTES
    let word = 0
    for (let index = 0; index < WORD_BYTES; index++) {
      const byte = piece[at + index] as number
      if (byte === END) return flipSign(word << (8 * (WORD_BYTES - index)))
      word = (word << 8) | byte
    }
    return flipSign(word)
  }

  #grow(): void {
    const starts = this.#starts
    this.#starts = new Uint32Array(2 * starts.length + 16)
    this.#starts.set(starts)
  }
}

function tooLong(): PbManifestError {
  return new PbManifestError('CANNOT_MERGE', 'could not merge fragments: their pathnames have more than 4 GB')
}

/** So that numbers with a sign are in the order of those without. */
function flipSign(word: number): number {
  return word ^ 0x80000000
}

interface Sorting {
  readonly order: Uint32Array
  /** Of each key in `order`, the word at the depth of the run that it is in. */
  readonly words: Int32Array
  readonly keys: SortedKeys
}

/** The keys from one place in `order` to before another, which are the same up to a depth. */
interface Run {
  readonly from: number
  readonly to: number
  readonly depth: number
}

/**
 * Multikey quicksort: looks at a byte of a key about once, where comparing pairs looks at all that they share, again and again.
 *
 * @see J. Bentley and R. Sedgewick, "Fast algorithms for sorting and searching strings" (1997)
 */
async function sortKeys(sorting: Sorting, yielder: Yielder): Promise<void> {
  const waiting: Run[] = []
  const open = (run: Run): void => {
    if (run.to - run.from > 1) waiting.push(run)
  }
  readWords(sorting, { from: 0, to: sorting.order.length, depth: 0 })
  open({ from: 0, to: sorting.order.length, depth: 0 })
  for (let run = waiting.pop(); run !== undefined; run = waiting.pop()) {
    if (yielder.isDue) await yielder.yield()
    const { from, to, depth } = run
    if (to - from <= FEW) {
      insertEach(sorting, run)
      continue
    }
    const pivot = choosePivot(sorting.words, run)
    const [before, after] = partition(sorting, run, pivot)
    open({ from, to: before, depth })
    open({ from: after, to, depth })
    if (isLast(pivot)) continue
    const same = { from: before, to: after, depth: depth + WORD_BYTES }
    readWords(sorting, same)
    open(same)
  }
}

function readWords({ order, words, keys }: Sorting, { from, to, depth }: Run): void {
  for (let index = from; index < to; index++) words[index] = keys.wordAt(order[index] as number, depth)
}

/** The middle one of three that chance takes, so that no order of the keys makes it slow. */
function choosePivot(words: Int32Array, { from, to }: Run): number {
  const take = (): number => words[from + Math.floor(Math.random() * (to - from))] as number
  const [one, two, three] = [take(), take(), take()]
  return Math.max(Math.min(one, two), Math.min(Math.max(one, two), three))
}

/** Puts smaller words in front and larger ones behind; returns from where and to where they are the same as the pivot. */
function partition(
  { order, words }: Sorting,
  { from, to }: Run,
  pivot: number,
): readonly [before: number, after: number] {
  let before = from
  let after = to
  for (let index = from; index < after;) {
    const word = words[index] as number
    if (word < pivot) swap(order, words, index++, before++)
    else if (word > pivot) swap(order, words, index, --after)
    else index++
  }
  return [before, after]
}

function swap(order: Uint32Array, words: Int32Array, one: number, other: number): void {
  const key = order[one] as number
  const word = words[one] as number
  order[one] = order[other] as number
  words[one] = words[other] as number
  order[other] = key
  words[other] = word
}

function insertEach(sorting: Sorting, { from, to, depth }: Run): void {
  const { order, words } = sorting
  for (let next = from + 1; next < to; next++) {
    for (let at = next; at > from && isBefore(sorting, at, at - 1, depth); at--)
      swap(order, words, at, at - 1)
  }
}

function isBefore({ order, words, keys }: Sorting, one: number, other: number, depth: number): boolean {
  let word = words[one] as number
  let otherWord = words[other] as number
  for (let at = depth; word === otherWord && !isLast(word);) {
    at += WORD_BYTES
    word = keys.wordAt(order[one] as number, at)
    otherWord = keys.wordAt(order[other] as number, at)
  }
  return word < otherWord
}

/** Whether the key ends in this word. */
function isLast(word: number): boolean {
  return (word & 0xff) === END
}
