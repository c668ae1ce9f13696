import { badFile } from '../bad-file.js'
import { crc32c } from '../crc32c.js'

/** A stretch of WAL of one timeline of which a server has summarized which blocks were changed in it. */
export interface WalSummary {
  readonly timeline: number
  readonly startLsn: bigint
  /** Exclusive. */
  readonly endLsn: bigint
}

const summaryName = /^([0-9A-F]{8})([0-9A-F]{16})([0-9A-F]{16})\.summary$/

/**
 * Reads the name of a file in `pg_wal/summaries`: timeline, start and end, each in hexadecimal.
 *
 * @returns `undefined` for any other name
 * @see src/backend/backup/walsummary.c (`GetWalSummaries`)
 */
export function parseWalSummaryName(name: string): WalSummary | undefined {
  const [, timeline, start, end] = summaryName.exec(name) ?? []
  if (timeline === undefined) return undefined
  return {
    timeline: Number.parseInt(timeline, 16),
    startLsn: BigInt(`0x${start}`),
    endLsn: BigInt(`0x${end}`),
  }
}

/** The reverse of {@link parseWalSummaryName}. */
export function walSummaryName({ timeline, startLsn, endLsn }: WalSummary): string {
  return `${hex(timeline, 8)}${hex(startLsn, 16)}${hex(endLsn, 16)}.summary`
}

/** A fork of a relation: its main data (0), free space map (1), visibility map (2) or initial content (3). */
export interface ForkAddress {
  readonly tablespaceOid: number
  /** 0: shared by all databases. */
  readonly databaseOid: number
  /** 0, with the main fork: the database as a whole. */
  readonly relationNumber: number
  readonly fork: number
}

/** What a summary says of one fork. */
export interface ForkChanges extends ForkAddress {
  /** To so many blocks it was cut, at its smallest; 0 when it was created or dropped. {@link NO_LIMIT}: neither. */
  readonly limitBlock: number
  /** The blocks that were changed, by chunks of {@link CHUNK_BLOCKS}; of the first chunk first. Slices of the file. */
  readonly chunks: readonly Buffer[]
}

/** @see src/include/storage/block.h (`InvalidBlockNumber`) */
export const NO_LIMIT = 0xffff_ffff

/** @see src/common/blkreftable.c (`BLOCKS_PER_CHUNK`) */
export const CHUNK_BLOCKS = 65_536

/** A chunk of so many bytes has a bit for each block, lowest first; a shorter one has a list of 16-bit offsets. */
export const BITMAP_BYTES: number = CHUNK_BLOCKS / 8

/** @see src/include/common/blkreftable.h (`BLOCKREFTABLE_MAGIC`) */
const MAGIC = 0x652b_137b

const MAGIC_BYTES = 4
const CRC_BYTES = 4
const ENTRY_BYTES = 24

/** More chunks would have blocks that no relation can have. */
const MAX_CHUNKS = 65_536

/**
 * Reads a file of `pg_wal/summaries`. Its checksum is compared first, so that nothing is given of a damaged one.
 *
 * @param bytes - the whole file
 * @param name - for messages
 * @throws PbManifestError `BAD_FILE`, in the server's words where it has words
 * @see src/common/blkreftable.c (`BlockRefTableReaderNextRelation`)
 */
export function* readWalSummary(bytes: Buffer, name: string): Generator<ForkChanges, void, undefined> {
  requireWholeFile(bytes, name)
  const end = bytes.length - CRC_BYTES
  for (let at = MAGIC_BYTES; ;) {
    if (at + ENTRY_BYTES > end) throw badFile(name, 'ends unexpectedly')
    if (isSentinel(bytes, at)) {
      if (at + ENTRY_BYTES !== end) throw badFile(name, 'goes on after its end')
      return
    }
    const changes = readEntry(bytes, at, end, name)
    yield changes
    at += ENTRY_BYTES + changes.chunks.reduce((sum, chunk) => sum + 2 + chunk.length, 0)
  }
}

function requireWholeFile(bytes: Buffer, name: string): void {
  if (bytes.length < MAGIC_BYTES + ENTRY_BYTES + CRC_BYTES) {
    throw badFile(name, `has ${bytes.length} bytes, too few for a WAL summary`)
  }
  const magic = bytes.readUInt32LE(0)
  if (magic !== MAGIC) throw badFile(name, `has wrong magic number: expected ${MAGIC}, found ${magic}`)
  const found = bytes.readUInt32LE(bytes.length - CRC_BYTES)
  const expected = crc32c(bytes, 0, bytes.length - CRC_BYTES)
  if (found !== expected) {
    throw badFile(name, `has wrong checksum: expected ${hex(expected, 8)}, found ${hex(found, 8)}`)
  }
}

function isSentinel(bytes: Buffer, at: number): boolean {
  return bytes.subarray(at, at + ENTRY_BYTES).every((byte) => byte === 0)
}

function readEntry(bytes: Buffer, at: number, end: number, name: string): ForkChanges {
  const fork = bytes.readInt32LE(at + 12)
  if (fork < 0 || fork > 3) throw badFile(name, `has invalid fork number ${fork}`)
  const chunkCount = bytes.readUInt32LE(at + 20)
  if (chunkCount > MAX_CHUNKS) throw badFile(name, 'has oversized chunk size array')
  const sizes = at + ENTRY_BYTES
  let chunkAt = sizes + 2 * chunkCount
  if (chunkAt > end) throw badFile(name, 'ends unexpectedly')
  const chunks: Buffer[] = []
  for (let chunk = 0; chunk < chunkCount; chunk++) {
    const length = 2 * bytes.readUInt16LE(sizes + 2 * chunk)
    if (length > BITMAP_BYTES) throw badFile(name, `chunk ${chunk} has invalid size ${length / 2}`)
    if (chunkAt + length > end) throw badFile(name, 'ends unexpectedly')
    chunks.push(bytes.subarray(chunkAt, chunkAt + length))
    chunkAt += length
  }
  return {
    tablespaceOid: bytes.readUInt32LE(at),
    databaseOid: bytes.readUInt32LE(at + 4),
    relationNumber: bytes.readUInt32LE(at + 8),
    fork,
    limitBlock: bytes.readUInt32LE(at + 16),
    chunks,
  }
}

function hex(value: number | bigint, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}
