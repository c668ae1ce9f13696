import { PbManifestError } from '../../../errors.js'

/** What the rows of a COPY in binary format hold, in their order. */
export interface BinaryRowHandler {
  /**
   * A row has begun.
   *
   * @param fields - all its columns but the last, in memory of their own; `null` is SQL's
   * @param valueBytes - how long the last column is; `undefined`: it is SQL's null
   */
  row(fields: readonly (Buffer | null)[], valueBytes: number | undefined): void
  /** A piece of the last column, a slice of what was pushed. */
  value(piece: Buffer): void
  /** The last column is complete; also called when it is null or empty. */
  endOfRow(): void
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
/** Signature, flags, length of the header's extension. */
const HEADER_BYTES = SIGNATURE.length + 8

/** A column before the last is a number or a name; more than this is no COPY of ours. */
const LONGEST_FIELD = 1 << 20

type State = 'header' | 'extension' | 'column count' | 'field length' | 'field' | 'value' | 'trailer'

/**
 * Reads what `COPY ... TO STDOUT (FORMAT binary)` sends. Bytes in, fields out: no socket. The last column may be as
 * large as it wants; memory is needed for the others only.
 *
 * @see https://www.postgresql.org/docs/current/sql-copy.html
 */
export class BinaryCopyParser {
  readonly #columns: number
  readonly #handler: BinaryRowHandler
  #state: State = 'header'
  /** What the present state needs, and the pieces of it when a chunk's end cut them. */
  #needed = HEADER_BYTES
  #gathered: Buffer | undefined
  #gatheredBytes = 0
  #fields: (Buffer | null)[] = []

  constructor(columns: number, handler: BinaryRowHandler) {
    this.#columns = columns
    this.#handler = handler
  }

  /** @throws {@link PbManifestError} `SERVER` when this is not the format, or not as many columns as expected */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#state === 'trailer') throw unexpected('bytes after its end')
      if (this.#state === 'value') {
        const end = Math.min(chunk.length, at + this.#needed)
        this.#handler.value(chunk.subarray(at, end))
        this.#needed -= end - at
        at = end
        if (this.#needed === 0) this.#endRow()
      } else {
        const end = Math.min(chunk.length, at + this.#needed - this.#gatheredBytes)
        const bytes = this.#gather(chunk.subarray(at, end))
        at = end
        if (bytes !== undefined) this.#take(bytes)
      }
    }
  }

  /** @throws {@link PbManifestError} `SERVER` when the last row, or the format's own end, is missing */
  end(): void {
    if (this.#state !== 'trailer') throw unexpected('end')
  }

  #gather(piece: Buffer): Buffer | undefined {
    if (this.#gatheredBytes === 0 && piece.length === this.#needed && this.#state !== 'field') return piece
    this.#gathered ??= Buffer.allocUnsafe(this.#needed)
    piece.copy(this.#gathered, this.#gatheredBytes)
    this.#gatheredBytes += piece.length
    if (this.#gatheredBytes < this.#needed) return undefined
    const whole = this.#gathered
    this.#gathered = undefined
    this.#gatheredBytes = 0
    return whole
  }

  #take(bytes: Buffer): void {
    switch (this.#state) {
      case 'header':
        this.#takeHeader(bytes)
        break
      case 'extension':
        this.#expect('column count', 2)
        break
      case 'column count':
        this.#takeColumnCount(bytes.readInt16BE(0))
        break
      case 'field length':
        this.#takeFieldLength(bytes.readInt32BE(0))
        break
      case 'field':
        this.#endField(bytes)
        break
      case 'value':
      case 'trailer':
        throw new Error(`state "${this.#state}" of a COPY gathers nothing`)
      default:
        this.#state satisfies never
    }
  }

  #takeHeader(bytes: Buffer): void {
    if (!bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw unexpected('signature')
    const extensionBytes = bytes.readInt32BE(SIGNATURE.length + 4)
    if (extensionBytes < 0 || extensionBytes > LONGEST_FIELD) throw unexpected('header')
    if (extensionBytes > 0) this.#expect('extension', extensionBytes)
    else this.#expect('column count', 2)
  }

  #takeColumnCount(count: number): void {
    if (count === -1) {
      this.#state = 'trailer'
      return
    }
    if (count !== this.#columns) throw unexpected(`number of columns ${String(count)}`)
    this.#fields = []
    this.#expect('field length', 4)
  }

  #takeFieldLength(length: number): void {
    if (length < -1) throw unexpected(`length ${String(length)} of a column`)
    const isLast = this.#fields.length === this.#columns - 1
    if (isLast) this.#beginValue(length)
    else if (length === -1) this.#endField(null)
    else if (length === 0) this.#endField(Buffer.alloc(0))
    else if (length > LONGEST_FIELD) throw unexpected(`length ${String(length)} of a column`)
    else this.#expect('field', length)
  }

  #endField(field: Buffer | null): void {
    this.#fields.push(field)
    this.#expect('field length', 4)
  }

  #beginValue(length: number): void {
    this.#handler.row(this.#fields, length === -1 ? undefined : length)
    if (length > 0) this.#expect('value', length)
    else this.#endRow()
  }

  #endRow(): void {
    this.#handler.endOfRow()
    this.#expect('column count', 2)
  }

  #expect(state: State, bytes: number): void {
    this.#state = state
    this.#needed = bytes
  }
}

function unexpected(what: string): PbManifestError {
  return new PbManifestError('SERVER', `unexpected ${what} in the data of COPY`)
}
