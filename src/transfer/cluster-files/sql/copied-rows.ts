import { PbManifestError } from '../../../errors.js'
import { BinaryCopyParser } from './binary-copy-parser.js'
import type { SqlConnection } from './sql-connection.js'

/** A row of a COPY, whole. */
export interface CopiedRow {
  /** All its columns but the last. */
  readonly fields: readonly (Buffer | null)[]
  /** The last; empty when it is SQL's null. */
  readonly value: Buffer
}

/**
 * Runs a query as a COPY and gives its rows, for queries whose rows are short. Bytes of names come as the server has
 * them, which rows decoded by `pg` would not.
 *
 * @param query - with `columns` columns
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function* copiedRows(
  connection: SqlConnection,
  query: string,
  columns: number,
  signal?: AbortSignal,
): AsyncGenerator<CopiedRow, void, undefined> {
  let rows: CopiedRow[] = []
  let fields: readonly (Buffer | null)[] = []
  let pieces: Buffer[] = []
  const parser = new BinaryCopyParser(columns, {
    row: (columnsBefore) => {
      fields = columnsBefore
      pieces = []
    },
    value: (piece) => pieces.push(Buffer.from(piece)),
    endOfRow: () => rows.push({ fields, value: Buffer.concat(pieces) }),
  })
  for await (const chunks of connection.copyOut(copyToStdout(query), signal)) {
    for (const chunk of chunks) parser.push(chunk)
    yield* rows
    rows = []
  }
  parser.end()
}

/** The last column of a query's only row; empty when it is SQL's null, or when there is no row. */
export async function copiedValue(connection: SqlConnection, query: string): Promise<Buffer> {
  let found: Buffer = Buffer.alloc(0)
  // To the end: who leaves a COPY closes its connection.
  for await (const { value } of copiedRows(connection, query, 1)) found = value
  return found
}

/** The COPY that sends a query's rows in binary format. */
export function copyToStdout(query: string): string {
  return `COPY (${query}) TO STDOUT (FORMAT binary)`
}

/**
 * An int8 of a row; `undefined` for SQL's null.
 *
 * @throws {@link PbManifestError} `SERVER` when it is larger than anything that there is
 */
export function readInt8(field: Buffer | null | undefined): number | undefined {
  if (field?.length !== 8) return undefined
  const value = Number(field.readBigInt64BE(0))
  if (!Number.isSafeInteger(value)) throw new PbManifestError('SERVER', `the server says ${value} of a file`)
  return value
}

/** A boolean of a row; `undefined` for SQL's null. */
export function readBoolean(field: Buffer | null | undefined): boolean | undefined {
  return field?.length === 1 ? field[0] !== 0 : undefined
}
