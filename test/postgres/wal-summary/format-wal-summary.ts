import { crc32c } from '../../../src/postgres/crc32c.js'
import { type ForkAddress, NO_LIMIT } from '../../../src/postgres/wal-summary/summary-file.js'

/** What a summary is to say of a fork. */
export interface SummarizedFork extends Partial<ForkAddress> {
  readonly limitBlock?: number
  /** Of each chunk: offsets, or a whole bitmap of 8192 bytes. */
  readonly chunks?: readonly (readonly number[] | Buffer)[]
}

/** A file of `pg_wal/summaries`, as a server writes it. @see src/common/blkreftable.c (`WriteBlockRefTable`) */
export function formatWalSummary(forks: readonly SummarizedFork[]): Buffer {
  const content = Buffer.concat([number(0x652b137b), ...forks.map(formatFork), Buffer.alloc(24)])
  return withChecksum(content)
}

/** @param content - all but the checksum */
export function withChecksum(content: Buffer): Buffer {
  return Buffer.concat([content, number(crc32c(content))])
}

function formatFork(fork: SummarizedFork): Buffer {
  const { tablespaceOid = 1663, databaseOid = 5, relationNumber = 16384, limitBlock = NO_LIMIT } = fork
  const chunks = (fork.chunks ?? []).map((chunk) => (Buffer.isBuffer(chunk) ? chunk : shorts(chunk)))
  const words = [tablespaceOid, databaseOid, relationNumber, fork.fork ?? 0, limitBlock, chunks.length]
  return Buffer.concat([...words.map(number), shorts(chunks.map(({ length }) => length / 2)), ...chunks])
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function shorts(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length)
  for (const [index, value] of values.entries()) bytes.writeUInt16LE(value, 2 * index)
  return bytes
}
