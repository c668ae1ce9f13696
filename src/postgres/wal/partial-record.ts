import { isRecordCrc, type RecordCrc } from './record-crc.js'
import { RECORD_HEADER_SIZE } from './record-header.js'
import { lsnOf } from './wal-geometry.js'

/**
 * So much of a record is kept; all its fragments' headers are among it. The most that a server writes are 33 blocks, whose
 * headers take 950 bytes.
 */
const HEAD_SIZE = 2048

/**
 * A record that goes over the end of a page, put together piece by piece.
 *
 * Only its beginning is kept, and the CRC of what follows: a record may be larger than a segment.
 */
export class PartialRecord {
  /** The first bytes of the record. */
  readonly head: DataView
  /** The halves of the LSN at which it begins. */
  high = 0
  low = 0
  readonly #bytes = new Uint8Array(HEAD_SIZE)
  #length = 0
  #gathered = 0
  #crc = -1
  readonly #extendCrc32c: RecordCrc['extend']

  /** @param crc - for the views that are given to `add` */
  constructor({ extend }: RecordCrc) {
    this.#extendCrc32c = extend
    this.head = new DataView(this.#bytes.buffer)
  }

  get lsn(): bigint {
    return lsnOf(this.high, this.low)
  }

  /** Bytes of the record, xl_tot_len. */
  get length(): number {
    return this.#length
  }

  /** Bytes of it that are still to come; 0 when there is no unfinished record. */
  get missing(): number {
    return this.#length - this.#gathered
  }

  get hasHeader(): boolean {
    return this.#gathered >= RECORD_HEADER_SIZE
  }

  /** How many bytes `head` has of the record. */
  get headLength(): number {
    return Math.min(this.#gathered, HEAD_SIZE)
  }

  /** Forgets the last record, and expects one of this length, which begins there. */
  begin(length: number, high: number, low: number): void {
    this.high = high
    this.low = low
    this.#length = length
    this.#gathered = 0
    this.#crc = -1
  }

  /** Gives the record up. */
  abandon(): void {
    this.begin(0, 0, 0)
  }

  /** Takes the next `size` bytes of the record. */
  add(view: DataView, at: number, size: number): void {
    const space = HEAD_SIZE - this.#gathered
    if (space > 0) {
      const piece = new Uint8Array(view.buffer, view.byteOffset + at, Math.min(size, space))
      this.#bytes.set(piece, this.#gathered)
    }
    // The header itself comes last in the CRC.
    const headerRest = Math.max(RECORD_HEADER_SIZE - this.#gathered, 0)
    this.#crc = this.#extendCrc32c(this.#crc, view, at + headerRest, at + size)
    this.#gathered += size
  }

  /** Whether the CRC of a record that is complete is the one that it holds. */
  isIntact(): boolean {
    return this.missing === 0 && isRecordCrc(this.#crc, this.head, 0)
  }
}
