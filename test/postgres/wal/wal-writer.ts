import { crc32c } from '../../../src/postgres/crc32c.js'

const page = 8192

/** A record to be written. */
export interface WrittenRecord {
  /** What follows the header. */
  readonly body: Buffer
  readonly resourceManager?: number
  readonly info?: number
  /** In place of the right one. */
  readonly previousLsn?: bigint
  /** In place of the right one. */
  readonly totalLength?: number
}

/** The body of a record that has only data. */
export function mainData(data: Buffer): Buffer {
  const head = data.length < 256 ? Buffer.from([255, data.length]) : Buffer.alloc(5, 254)
  if (head.length === 5) head.writeUInt32LE(data.length, 1)
  return Buffer.concat([head, data])
}

/** What differs between the formats that are written. */
export interface WrittenFormat {
  readonly pageMagic: number
  /** Of xlp_info: the page begins with a record in place of another. */
  readonly overwriteBit: number
}

const postgres18: WrittenFormat = { pageMagic: 0xd118, overwriteBit: 0x0008 }

/** Writes WAL in memory, from the start of a segment, by PostgreSQL's rules; shares only the CRC with our reader. */
export class WalWriter {
  readonly systemIdentifier = 7_711_113_546_893_945_671n
  readonly baseLsn: bigint
  readonly segmentSize: number
  /** Offset of the end of the last record. */
  end = 0
  timeline = 1
  readonly starts: number[] = []
  readonly #format: WrittenFormat
  #previousLsn: bigint
  #bytes: Buffer

  constructor(segmentSize: number, baseLsn: bigint, format: WrittenFormat = postgres18) {
    this.#format = format
    this.segmentSize = segmentSize
    this.baseLsn = baseLsn
    this.#previousLsn = baseLsn - 64n
    this.#bytes = Buffer.alloc(segmentSize)
  }

  get endLsn(): bigint {
    return this.baseLsn + BigInt(this.end)
  }

  /** All segments so far, whole. */
  get bytes(): Buffer {
    return this.#bytes
  }

  /** @returns where it begins */
  write(record: WrittenRecord): number {
    return this.#writePart(record, Number.POSITIVE_INFINITY)
  }

  /** Behind it, the rest of the segment is empty. */
  writeSwitch(): number {
    const start = this.write({ body: Buffer.alloc(0), info: 0x40, resourceManager: 0 })
    this.end = Math.ceil(this.end / this.segmentSize) * this.segmentSize
    this.#grow(this.end)
    return start
  }

  /** Writes a record to the end of a page only, at least `size` bytes of it, as before a crash. */
  writeUnfinished(record: WrittenRecord, size: number): number {
    const before = this.#previousLsn
    const start = this.#writePart(record, size)
    this.#previousLsn = before
    this.starts.pop()
    return start
  }

  /** Goes on with a new record in place of the rest of the one that begins at `overwritten`. */
  writeOverwrite(overwritten: number): number {
    const data = Buffer.alloc(16)
    data.writeBigUInt64LE(this.baseLsn + BigInt(overwritten))
    this.#beginPage(this.#format.overwriteBit, 0)
    return this.write({ body: mainData(data), info: 0xd0, resourceManager: 0 })
  }

  #writePart(record: WrittenRecord, most: number): number {
    if (this.end % page === 0) this.#beginPage(0, 0)
    const start = this.end
    const bytes = this.#encode(record, start)
    let written = 0
    for (;;) {
      const size = Math.min(bytes.length - written, page - (this.end % page))
      bytes.copy(this.#bytes, this.end, written, written + size)
      written += size
      this.end += size
      if (written === bytes.length || written >= most) break
      this.#beginPage(1, bytes.length - written)
    }
    this.end = Math.ceil(this.end / 8) * 8
    this.#previousLsn = this.baseLsn + BigInt(start)
    this.starts.push(start)
    return start
  }

  #encode({ body, ...record }: WrittenRecord, start: number): Buffer {
    const header = Buffer.alloc(24)
    header.writeUInt32LE(record.totalLength ?? 24 + body.length, 0)
    header.writeUInt32LE(start % 977, 4)
    header.writeBigUInt64LE(record.previousLsn ?? this.#previousLsn, 8)
    header.writeUInt8(record.info ?? 0, 16)
    header.writeUInt8(record.resourceManager ?? 10, 17)
    header.writeUInt32LE(crc32c(header, 0, 20, crc32c(body)), 20)
    return Buffer.concat([header, body])
  }

  #beginPage(info: number, remainingLength: number): void {
    this.#grow(this.end + page)
    const at = this.end
    const isLong = at % this.segmentSize === 0
    this.#bytes.writeUInt16LE(this.#format.pageMagic, at)
    this.#bytes.writeUInt16LE(info | (isLong ? 2 : 0), at + 2)
    this.#bytes.writeUInt32LE(this.timeline, at + 4)
    this.#bytes.writeBigUInt64LE(this.baseLsn + BigInt(at), at + 8)
    this.#bytes.writeUInt32LE(remainingLength, at + 16)
    if (isLong) {
      this.#bytes.writeBigUInt64LE(this.systemIdentifier, at + 24)
      this.#bytes.writeUInt32LE(this.segmentSize, at + 32)
      this.#bytes.writeUInt32LE(page, at + 36)
    }
    this.end += isLong ? 40 : 24
  }

  #grow(size: number): void {
    const whole = Math.ceil(size / this.segmentSize) * this.segmentSize
    if (whole <= this.#bytes.length) return
    this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(whole - this.#bytes.length)])
  }
}
