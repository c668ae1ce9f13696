import { PbManifestError } from '../../errors.js'
import type { Yielder } from '../../files/yielder.js'
import { NotARegularFileError } from '../../files/open-regular-file.js'
import { createLineBuffer, readLineBlocks } from '../../files/read-line-blocks.js'
import { ioError } from '../../files/system-error.js'
import { formatListSeparator } from '../manifest-parts.js'
import { type FragmentLine, MAX_LINE_BYTES } from '../fragment/read-fragment.js'
import { SortedKeys } from './sorted-keys.js'

const LF = 0x0a
const LETTER_E = 0x45

/** What stands before a line's pathname, and behind it. */
const PATH_START = '{ "Path": "'.length
const ENCODED_PATH_START = '{ "Encoded-Path": "'.length
const KIND = '{ "'.length
const PATH_END = Buffer.from('", "Size": ')

/** How much is given out at a time, at most. */
const PIECE_BYTES = 256 * 1024

/** So often all fragments are read, each time for another part of the output. */
const PASSES = 16
/** Less is not worth to read them once more. */
const SMALL_WINDOW_BYTES = 4 * 1024 * 1024

/** Of a line that is not in the window. */
const NOWHERE = 0xffffffff

const firstSeparator = Buffer.from(formatListSeparator(true))
const nextSeparator = Buffer.from(formatListSeparator(false))

/**
 * The lines of all fragments, in the order of their bytes: that of the pathnames as they are written.
 *
 * Keeps the pathnames until they are sorted, and 16 bytes for each line. The lines stay in the fragments and are read again, a
 * sixteenth of them at a time.
 */
export class SortedLines {
  #keys: SortedKeys
  #lengths: Uint32Array
  #count = 0
  #bytes = 0
  readonly #fragments: Fragment[] = []
  readonly #buffer: Buffer = createLineBuffer(MAX_LINE_BYTES)

  /** @param expected - how many there will probably be */
  constructor(expected: number) {
    this.#keys = new SortedKeys(expected)
    this.#lengths = new Uint32Array(expected)
  }

  /** Says where the lines that follow are. */
  beginFragment(path: string): void {
    this.#fragments.push({ path, first: this.#count })
  }

  addLine(line: FragmentLine): void {
    const { bytes, start, end } = line
    const kind = bytes[start + KIND] as number
    const pathStart = start + (kind === LETTER_E ? ENCODED_PATH_START : PATH_START)
    const pathEnd = line.pathnameBytes === bytes ? line.pathnameEnd : bytes.indexOf(PATH_END, pathStart)
    // With its quote, because that is what a longer one is compared with.
    this.#keys.add(kind, bytes, pathStart, pathEnd + 1)
    if (this.#count === this.#lengths.length) this.#lengths = grown(this.#lengths)
    this.#lengths[this.#count++] = end - start
    this.#bytes += end - start + nextSeparator.length
  }

  /**
   * All of them, each with the separator before it. A piece is valid until the next is asked for.
   *
   * @throws {@link PbManifestError} `IO`; `BAD_FRAGMENT` when a fragment is not what it was; `ABORTED`
   */
  async *pieces(yielder: Yielder): AsyncGenerator<Buffer, void, undefined> {
    const order = await this.#keys.inOrder(yielder)
    // Not needed any more, and as large as what is made now.
    this.#keys = new SortedKeys(0)
    const places = new Uint32Array(order.length).fill(NOWHERE)
    const windowBytes = Math.max(SMALL_WINDOW_BYTES, Math.ceil(this.#bytes / PASSES))
    const bytes = Buffer.allocUnsafeSlow(Math.min(this.#bytes, windowBytes))
    for (let next = 0; next < order.length;) {
      const window = { bytes, places, used: 0 }
      next = this.#place(order, next, window)
      for (const [index] of this.#fragments.entries()) await this.#take(index, window, yielder)
      yield* cut(bytes.subarray(0, window.used))
    }
  }

  /** Finds places for as many lines as have room; returns the index of the next in the order. */
  #place(order: Uint32Array, from: number, window: Window): number {
    for (let index = from; index < order.length; index++) {
      const line = order[index] as number
      const separator = index === 0 ? firstSeparator : nextSeparator
      const length = separator.length + (this.#lengths[line] as number)
      if (window.used + length > window.bytes.length) return index
      for (const byte of separator) window.bytes[window.used++] = byte
      window.places[line] = window.used
      window.used += length - separator.length
    }
    return order.length
  }

  /** Reads a fragment, and puts those of its lines that have places there. */
  async #take(fragment: number, window: Window, yielder: Yielder): Promise<void> {
    const { path, first } = this.#fragments[fragment] as Fragment
    const end = this.#fragments[fragment + 1]?.first ?? this.#count
    let line = first
    try {
      for (const block of readLineBlocks(path, MAX_LINE_BYTES, this.#buffer)) {
        const next = this.#takeLines(block.bytes, line, end, window)
        if (next === undefined) throw changed(path)
        line = next
        if (line === end) return
        if (yielder.isDue) await yielder.yield()
      }
    } catch (error) {
      if (error instanceof NotARegularFileError) throw changed(path)
      throw ioError(`could not read file "${path}"`, error)
    }
    if (line < end) throw changed(path)
  }

  /** Returns the next line; `undefined` when these are not as long as they were. */
  #takeLines(bytes: Buffer, from: number, end: number, window: Window): number | undefined {
    let at = 0
    let line = from
    for (; line < end && at < bytes.length; line++) {
      const lineEnd = at + (this.#lengths[line] as number)
      if (bytes[lineEnd] !== LF) return undefined
      const place = window.places[line] as number
      if (place !== NOWHERE) {
        bytes.copy(window.bytes, place, at, lineEnd)
        window.places[line] = NOWHERE
      }
      at = lineEnd + 1
    }
    return line
  }
}

/** Where a fragment's lines are. */
interface Fragment {
  readonly path: string
  /** The number of its first line, counted over all fragments. */
  readonly first: number
}

/** A part of the output that is put together. */
interface Window {
  readonly bytes: Buffer
  /** Of each line, where in `bytes` it begins. */
  readonly places: Uint32Array
  used: number
}

function* cut(bytes: Buffer): Generator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
}

function grown(numbers: Uint32Array): Uint32Array {
  const larger = new Uint32Array(2 * numbers.length + 16)
  larger.set(numbers)
  return larger
}

/** It was read whole, and its checksum was right. */
function changed(path: string): PbManifestError {
  return new PbManifestError(
    'BAD_FRAGMENT',
    `could not merge fragments: fragment "${path}" was changed while it was merged`,
  )
}
