import { encodePathname } from '../../../files/pathname.js'
import type { WireRow } from '../../wire/wire-handler.js'

/** Rows in one piece of memory, which goes from thread to thread without being copied. */
export interface PackedRows {
  readonly columns: number
  /** Of each value its length (Int32; {@link NULL_LENGTH} for NULL) and its bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

const NULL_LENGTH = -1
const LENGTH_BYTES = 4
/** Of one code unit of text. */
const MAX_UTF8_BYTES = 3
const FIRST_BYTES = 16 * 1024

/** Packs rows; text becomes the bytes that it stands for, also where it is a name that is not UTF-8. */
export function packRows(columns: number, rows: Iterable<WireRow>): PackedRows {
  let buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  let length = 0
  for (const row of rows) {
    for (const value of row) {
      const room = length + LENGTH_BYTES + MAX_UTF8_BYTES * (value?.length ?? 0)
      if (room > buffer.length) buffer = grow(buffer, length, room)
      const written = value === null ? NULL_LENGTH : writeValue(buffer, value, length + LENGTH_BYTES)
      buffer.writeInt32LE(written, length)
      length += LENGTH_BYTES + Math.max(written, 0)
    }
  }
  return { columns, bytes: buffer.subarray(0, length) }
}

/** Returns how many bytes it has. */
function writeValue(buffer: Buffer, value: string | Uint8Array, at: number): number {
  // The common case, without a buffer for each value: a list may have millions.
  if (typeof value === 'string' && value.isWellFormed()) return buffer.write(value, at)
  const bytes = typeof value === 'string' ? encodePathname(value) : value
  buffer.set(bytes, at)
  return bytes.length
}

/** The rows again, one after the other; their values are parts of the same memory. */
export function* unpackRows({
  columns,
  bytes,
}: PackedRows): Generator<(Uint8Array | null)[], void, undefined> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 0; at < buffer.length;) {
    const row: (Uint8Array | null)[] = []
    while (row.length < columns) {
      const length = buffer.readInt32LE(at)
      at += LENGTH_BYTES
      row.push(length === NULL_LENGTH ? null : buffer.subarray(at, at + length))
      at += Math.max(length, 0)
    }
    yield row
  }
}

function grow(buffer: Buffer<ArrayBuffer>, length: number, needed: number): Buffer<ArrayBuffer> {
  const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * buffer.length))
  larger.set(buffer.subarray(0, length))
  return larger
}
