import { DamagedArchiveError } from '../damaged-archive-error.js'
import { parseDecimal, parsePaxRecords, type PaxRecords } from './pax-records.js'
import type { TarHeader } from './tar-header.js'

/** A name and a few times and attributes have far less. */
const MAX_BYTES = 1024 * 1024

const NO_RECORDS: PaxRecords = new Map()

/** What stands in headers of their own before a member, because the member's header has no room for it. */
export class MemberAttributes {
  #typeflag = ''
  #parts: Buffer[] = []
  #bytes = 0
  #longName: Buffer | undefined
  #records = NO_RECORDS
  #globalRecords = NO_RECORDS

  /** Whether a header of this type belongs to the member that follows. If so, its bytes are to be added next. */
  takes(typeflag: string): boolean {
    this.#typeflag = typeflag
    this.#parts = []
    this.#bytes = 0
    return typeflag === 'x' || typeflag === 'g' || typeflag === 'L' || typeflag === 'K'
  }

  /** @throws {@link DamagedArchiveError} */
  add(bytes: Buffer): void {
    this.#bytes += bytes.length
    if (this.#bytes > MAX_BYTES) throw new DamagedArchiveError('it has an extended header without end')
    this.#parts.push(Buffer.from(bytes))
  }

  /**
   * The bytes are whole.
   *
   * @throws {@link DamagedArchiveError}
   */
  end(): void {
    const bytes = Buffer.concat(this.#parts)
    switch (this.#typeflag) {
      case 'L':
        this.#longName = upToNul(bytes)
        break
      case 'x':
        this.#records = parseRecords(bytes)
        break
      case 'g':
        this.#globalRecords = new Map([...this.#globalRecords, ...parseRecords(bytes)])
        break
      default:
      // A long name of a link's target, which nobody asks for.
    }
  }

  /**
   * The name and the size that the member really has.
   *
   * @throws {@link DamagedArchiveError}
   */
  applyTo(header: TarHeader): { readonly name: Buffer; readonly size: number } {
    const records = this.#allRecords()
    if (header.typeflag === 'S' || [...records.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
      throw new DamagedArchiveError('sparse members are not supported')
    }
    const name = records.get('path') ?? this.#longName ?? header.name
    const sizeRecord = records.get('size')
    const size = sizeRecord === undefined ? header.size : parseDecimal(sizeRecord)
    if (size === undefined) throw badHeader()
    this.#longName = undefined
    this.#records = NO_RECORDS
    return { name, size }
  }

  #allRecords(): PaxRecords {
    if (this.#globalRecords.size === 0) return this.#records
    return new Map([...this.#globalRecords, ...this.#records])
  }
}

function parseRecords(bytes: Buffer): PaxRecords {
  const records = parsePaxRecords(bytes)
  if (records === undefined) throw badHeader()
  return records
}

function badHeader(): DamagedArchiveError {
  return new DamagedArchiveError('it has an extended header that cannot be read')
}

function upToNul(bytes: Buffer): Buffer {
  const nul = bytes.indexOf(0)
  return nul === -1 ? bytes : bytes.subarray(0, nul)
}
