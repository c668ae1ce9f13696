import { encodePathname } from '../../../files/pathname.js'
import { isBackupId } from '../../../manifest/fragment/backup-id.js'
import { parseLsn } from '../../../postgres/lsn.js'
import { parsePositiveUnsignedInt32 } from '../../../postgres/unsigned-int.js'
import { isWalSegmentSize } from '../../../postgres/wal-segment.js'
import { KeptRows } from '../../connection/kept-rows.js'
import { agentProtocolError } from './agent-error.js'
import type { Answer, Value } from './backend-message.js'

/** A row of an agent's answer, by the names of its columns. A value that makes no sense is the agent's fault. */
export class ResultRow {
  readonly #places: ReadonlyMap<string, number>
  readonly #values: readonly Value[]

  constructor(places: ReadonlyMap<string, number>, values: readonly Value[]) {
    this.#places = places
    this.#values = values
  }

  /** @throws {@link PbManifestError} `SERVER`, as do the others */
  text(column: string): string {
    const value = this.textOrNull(column)
    if (value === undefined) throw agentProtocolError(`column "${column}" is null`)
    return value
  }

  /** `undefined`: SQL's null. */
  textOrNull(column: string): string | undefined {
    const place = this.#places.get(column)
    const value = place === undefined ? undefined : this.#values[place]
    if (value === undefined) throw agentProtocolError(`a row has no column "${column}"`)
    return value ?? undefined
  }

  bytes(column: string): Buffer {
    return encodePathname(this.text(column))
  }

  backupId(column: string): string {
    const text = this.text(column)
    if (!isBackupId(text)) throw noSense(column)
    return text
  }

  walSegmentSize(column: string): number {
    const bytes = this.integer(column)
    if (!isWalSegmentSize(bytes)) throw noSense(column)
    return bytes
  }

  /** A whole number, not negative. */
  integer(column: string): number {
    return this.#readInteger(column, this.text(column))
  }

  /** Seconds since 1970; before it, they are negative. */
  seconds(column: string): number {
    const text = this.text(column)
    return text.startsWith('-') ? -this.#readInteger(column, text.slice(1)) : this.#readInteger(column, text)
  }

  /** An OID, or a timeline: never 0. */
  unsignedInt32(column: string): number {
    const value = parsePositiveUnsignedInt32(this.text(column))
    if (value === undefined) throw noSense(column)
    return value
  }

  integerOrNull(column: string): number | undefined {
    const text = this.textOrNull(column)
    return text === undefined ? undefined : this.#readInteger(column, text)
  }

  /** Permission bits, in octal digits; `undefined` where they are not known, or an older agent does not tell them. */
  mode(column: string): number | undefined {
    const text = this.#places.has(column) ? this.textOrNull(column) : undefined
    if (text === undefined) return undefined
    if (!/^0[0-7]{3}$/.test(text)) throw noSense(column)
    return Number.parseInt(text, 8)
  }

  bigint(column: string): bigint {
    const text = this.text(column)
    if (!/^[0-9]{1,20}$/.test(text)) throw noSense(column)
    return BigInt(text)
  }

  boolean(column: string): boolean {
    const text = this.text(column)
    if (text !== 't' && text !== 'f') throw noSense(column)
    return text === 't'
  }

  lsn(column: string): bigint {
    const lsn = parseLsn(this.text(column))
    if (lsn === undefined) throw noSense(column)
    return lsn
  }

  #readInteger(column: string, text: string): number {
    const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
    if (!Number.isSafeInteger(value)) throw noSense(column)
    return value
  }
}

/** All rows of an answer. */
export async function readRows(answers: AsyncIterable<readonly Answer[]>): Promise<readonly ResultRow[]> {
  const rows: ResultRow[] = []
  const kept = new KeptRows()
  let places: ReadonlyMap<string, number> = new Map()
  for await (const batch of answers) {
    for (const answer of batch) {
      if (answer.type === 'columns') places = new Map(answer.names.map((name, place) => [name, place]))
      if (answer.type !== 'row') continue
      kept.add()
      rows.push(new ResultRow(places, answer.values))
    }
  }
  return rows
}

/** The only row of an answer. */
export async function readRow(answers: AsyncIterable<readonly Answer[]>): Promise<ResultRow> {
  const [row, ...others] = await readRows(answers)
  if (row === undefined || others.length > 0) throw agentProtocolError('one row was expected')
  return row
}

function noSense(column: string): Error {
  return agentProtocolError(`the value of column "${column}" makes no sense`)
}
